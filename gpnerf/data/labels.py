"""Class maps: raw label ids of a data set to training ids, with class names."""

import csv
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int64

from gpnerf.errors import UserError
from gpnerf.storage import read_text

logger = logging.getLogger(__name__)

LABEL_TABLE = "scannetv2-labels.combined.tsv"

# Label files have 8 or 16 bits, so that a table over all their ids is small.
_RAW_IDS = 2**16
_UNKNOWN = -1
_LARGEST = 2**53  # a float holds all whole numbers up to it
_NO_CLASS = 0  # a nyu40 id that no class has

# nyu40 id -> class, in the order of the 20 training ids of the ScanNet benchmark.
_SCANNET_CLASSES = {
    1: "wall", 2: "floor", 3: "cabinet", 4: "bed", 5: "chair", 6: "sofa", 7: "table", 8: "door", 9: "window",
    10: "bookshelf", 11: "picture", 12: "counter", 14: "desk", 16: "curtain", 24: "refrigerator",
    28: "shower curtain", 33: "toilet", 34: "sink", 36: "bathtub", 39: "otherfurniture",
}  # fmt: skip

# Replica's raw id -> class, for the classes that occur in the eight rendered scenes.
_REPLICA_CLASSES = {
    3: "basket", 7: "bed", 8: "bench", 10: "bin", 11: "blanket", 12: "blinds", 13: "book", 14: "bottle", 15: "box",
    16: "bowl", 17: "camera", 18: "cabinet", 19: "candle", 20: "chair", 22: "clock", 23: "cloth", 26: "comforter",
    29: "cushion", 31: "ceiling", 34: "desk", 35: "desk-organizer", 37: "door", 40: "floor", 44: "indoor-plant",
    47: "lamp", 52: "monitor", 54: "nightstand", 56: "panel", 59: "picture", 60: "pillar", 61: "pillow", 62: "pipe",
    63: "plant-stand", 64: "plate", 65: "pot", 70: "sculpture", 71: "shelf", 76: "sofa", 78: "stool", 79: "switch",
    80: "table", 82: "tablet", 83: "tissue-paper", 87: "tv-screen", 88: "tv-stand", 91: "vase", 92: "vent",
    93: "wall", 95: "wall-plug", 97: "window", 98: "rug",
}  # fmt: skip

# The class maps that a protocol may name, with their classes in the order of the training ids.
CLASS_NAMES = {"scannet20": tuple(_SCANNET_CLASSES.values()), "replica51": tuple(_REPLICA_CLASSES.values())}

# Classes whose pixels are no objects, by their names.
_STUFF = {"scannet20": ("wall", "floor"), "replica51": ("wall", "floor", "ceiling")}

# The class map that the label files of a data set are made for.
CLASS_MAP_OF = {
    "scannet": "scannet20",
    "rooms": "scannet20",
    "posed_images": "scannet20",
    "replica": "replica51",
    "replica_dm": "replica51",
}


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Raw ids to training ids 0 .. ignore-1; `ignore`, the number of classes, stands for everything else.

    `source` names where the map comes from (for messages). A `closed` map knows every id that may occur, so an id
    outside it is a mistake; in an open one such an id means `ignore`.
    """

    source: str
    ignore: int
    raw_ids: Int64[np.ndarray, "ids"]
    train_ids: Int64[np.ndarray, "ids"]
    closed: bool

    def to_train(self, raw: Int[np.ndarray, "height width"]) -> Int64[np.ndarray, "height width"]:
        """Training ids of an image of raw ids; ids that are not in the map become `ignore`."""
        train = self._look_up(raw)
        return np.where(train == _UNKNOWN, self.ignore, train)

    def strangers(self, raw: Int[np.ndarray, "height width"]) -> list[int]:
        """The raw ids of an image that a closed map does not know; empty for an open map."""
        return np.unique(raw[self._look_up(raw) == _UNKNOWN]).tolist() if self.closed else []

    def _look_up(self, raw: Int[np.ndarray, "height width"]) -> Int64[np.ndarray, "height width"]:
        last = len(self._table) - 1  # stands for every number outside the table
        return self._table[np.where((raw >= 0) & (raw < last), raw, last)]

    @cached_property
    def _table(self) -> Int64[np.ndarray, "entries"]:
        possible = (self.raw_ids >= 0) & (self.raw_ids < _RAW_IDS)
        table = np.full(self.raw_ids[possible].max(initial=0) + 2, _UNKNOWN)
        table[self.raw_ids[possible]] = self.train_ids[possible]
        return table


def stuff_classes(class_map: str) -> tuple[int, ...]:
    """The training ids of a map's classes that are stuff (walls, floors), not things with instances."""
    return tuple(CLASS_NAMES[class_map].index(name) for name in _STUFF[class_map])


def label_map(class_map: str, table: Path) -> LabelMap:
    """The class map of a name in `CLASS_NAMES`; `table` is ScanNet's label table, which only "scannet20" reads."""
    return scannet_labels(table) if class_map == "scannet20" else replica_labels()


def scannet_labels(table: Path) -> LabelMap:
    """The 20 ScanNet benchmark classes: raw id -> nyu40 id by ScanNet's label table -> training id.

    `table` is tab separated with columns `id` and `nyu40id`. Raw id 0 (not annotated) and ids whose nyu40id is empty
    mean ignore.
    """
    ignore = len(_SCANNET_CLASSES)
    train_of_nyu40 = {nyu40: train for train, nyu40 in enumerate(_SCANNET_CLASSES)}
    mapping = {raw: train_of_nyu40.get(nyu40, ignore) for raw, nyu40 in _read_table(table).items()}
    return _label_map(str(table), ignore, {0: ignore, **mapping}, closed=True)


def replica_labels() -> LabelMap:
    """The 51 classes of the Semantic-NeRF renderings of Replica; every other raw id means ignore."""
    mapping = {raw: train for train, raw in enumerate(_REPLICA_CLASSES)}
    return _label_map("the Replica class list", len(mapping), mapping, closed=False)


def _label_map(source: str, ignore: int, mapping: Mapping[int, int], closed: bool) -> LabelMap:
    ordered = sorted(mapping.items())
    raw, train = (np.array(column, dtype=np.int64) for column in zip(*ordered, strict=True))
    return LabelMap(source, ignore, raw, train, closed)


def _read_table(table: Path) -> dict[int, int]:
    origin = "it comes with ScanNet (http://www.scan-net.org, 'label mappings'); scripts/make_rooms.py writes one too"
    stream = io.StringIO(read_text(table, "the label table", origin), newline="")
    rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        missing = {"id", "nyu40id"} - set(rows.fieldnames or ())
        if missing:
            raise UserError(f"{table}: expected tab-separated columns 'id' and 'nyu40id', found {rows.fieldnames}")
        numbered = [_parse_row(table, rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise UserError(f"{table}: expected tab-separated text, found a fault ({error}); get it anew") from error
    if empty := sum(None in pair for pair in numbered):
        logger.warning("%s: %d rows have an empty id or nyu40id; such ids count as no class", table, empty)
    return {raw: _NO_CLASS if nyu40 is None else nyu40 for raw, nyu40 in numbered if raw is not None}


def _parse_row(table: Path, line: int, row: dict[str, str | None]) -> tuple[int | None, int | None]:
    try:
        return _whole(row["id"]), _whole(row["nyu40id"])
    except ValueError as error:
        found = {key: row[key] for key in ("id", "nyu40id")}
        raise UserError(f"{table}, line {line}: expected whole numbers, found {found}; get the table anew") from error


def _whole(cell: str | None) -> int | None:
    """The number of a cell, also where a spreadsheet made 5.0 of 5; None for an empty one."""
    text = (cell or "").strip()
    if not text or text.lower() == "nan":
        return None
    number = float(text)
    if not (number.is_integer() and abs(number) < _LARGEST):
        raise ValueError(text)
    return int(number)
