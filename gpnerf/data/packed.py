"""Frames at the image size in one memory-mapped file of a scene, in place of decoding its pictures."""

import logging
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpnerf.data.frames import Part

logger = logging.getLogger(__name__)

# Fields of a record beside the parts: the parts' CRC-32, and whether the part was there and readable.
CHECKSUMS, PRESENT = "checksums", "present"


def record_type(parts: Sequence[Part], height: int, width: int, whole_bytes: bool) -> np.dtype:
    """A frame in the file: colour (`whole_bytes`, or float32) and maps of 16 bits, as `Scene.pixels` gives them."""
    colour = np.uint8 if whole_bytes else np.float32
    forms = {part: (colour, (3, height, width)) if part == "colour" else (np.uint16, (height, width)) for part in parts}
    # Aligned, so that rows of float32 can be copied as they lie.
    return np.dtype(
        [
            *((part, *form) for part, form in forms.items()),
            (CHECKSUMS, np.uint32, (len(parts),)),
            (PRESENT, np.bool_, (len(parts),)),
        ],
        align=True,
    )


def has_records(path: Path, kind: np.dtype, count: int) -> bool:
    """Whether a file's header says that it holds `count` records of a type, and the file is as long as that."""
    try:
        records = np.load(path, mmap_mode="r")
    except Exception:  # the header is a text in Python's own syntax, which can be wrong in any way
        return False
    return records.dtype == kind and records.shape == (count,)


class PackedFrames:
    """The parts of a scene's frames, mapped into memory when the first is asked for; each is checked once.

    A pickled copy, as loader processes get it, maps the file anew.
    """

    def __init__(self, path: Path, parts: tuple[Part, ...]) -> None:
        self.path, self.parts = path, parts
        self._records: np.ndarray | None = None
        self._sound: dict[tuple[Part, int], bool] = {}
        self._said = False

    def __reduce__(self) -> tuple[type, tuple[Path, tuple[Part, ...]]]:
        return type(self), (self.path, self.parts)

    def read(self, part: Part, index: int) -> np.ndarray | None:
        """A part of the frame at a place in the scene's order; None where the file does not have it intact."""
        if self._records is None:
            self._records = np.asarray(np.load(self.path, mmap_mode="r"))  # a plain view: memmap's own is slower
        if (part, index) not in self._sound:
            self._sound[part, index] = self._is_sound(self._records[index], part, index)
        return self._records[part][index] if self._sound[part, index] else None

    def _is_sound(self, record: np.void, part: Part, index: int) -> bool:
        place = self.parts.index(part)
        if not record[PRESENT][place]:
            return False
        sound = zlib.crc32(record[part]) == int(record[CHECKSUMS][place])
        if not sound and not self._said:
            self._said = True  # where the disk fails, thousands of others may follow
            logger.warning(
                "%s: %s of record %d is damaged: its file is read, as for every other damaged one; pack again",
                *(self.path, part, index),
            )
        return sound
