"""Counts what the files of a scene hold: sizes, values of depth, classes and instances, files that cannot be read."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped
from tqdm import tqdm

from gpnerf.checking.recording import Recording
from gpnerf.data.files import FileList, FileSeries
from gpnerf.data.images import decode_colour, decode_map
from gpnerf.errors import UserError

_VALUES = 2**16  # of a map of at most 16 bits
_DECODERS = 4


@dataclass(frozen=True, eq=False)
class PartCensus:
    """The files of one part (colour, depth, ...) by frame: their (height, width), and what is wrong with the others.

    `values` counts the pixels of every value of a map, over all files; None for colour.
    """

    sizes: Mapping[int, tuple[int, int]]
    broken: Mapping[int, str]
    values: Int64[np.ndarray, "values"] | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """The commonest (height, width)."""
        return Counter(self.sizes.values()).most_common(1)[0][0] if self.sizes else None


def take_census(recording: Recording) -> dict[str, PartCensus]:
    """Read every file of the scene: the census of each part that it has."""
    found = recording.files
    series = {"colour": found.colour, "depth": found.depth, "labels": found.labels, "instances": found.instances}
    parts = {part: files for part, files in series.items() if files is not None}
    with tqdm(
        total=len(parts) * len(recording.numbers), desc=f"{recording.name}: files", unit="file", leave=False
    ) as bar:
        return {
            part: _census(files, recording.numbers, decode_colour if part == "colour" else decode_map, bar)
            for part, files in parts.items()
        }


def unusable_frames(recording: Recording, census: Mapping[str, PartCensus]) -> set[int]:
    """The frames with a file that cannot be read, or colour of another size than their camera's."""
    odd = {frame for frame, size in census["colour"].sizes.items() if size != recording.size_of(frame)}
    return odd.union(*(part.broken for part in census.values()))


def _census(
    files: FileSeries | FileList, numbers: Sequence[int], decode: Callable[[Path], np.ndarray], bar: tqdm
) -> PartCensus:
    sizes: dict[int, tuple[int, int]] = {}
    broken: dict[int, str] = {}
    values = None if decode is decode_colour else np.zeros(_VALUES, np.int64)
    there = [number for number in numbers if number not in files.missing]
    with ThreadPoolExecutor(_DECODERS) as pool:
        decoded = pool.map(lambda number: _decoded(files.path(number), decode), there)
        for number, image in zip(there, decoded, strict=True):
            bar.update()
            if isinstance(image, str):
                broken[number] = image
                continue
            sizes[number] = (image.shape[0], image.shape[1])
            if values is not None:
                values += np.bincount(image.ravel(), minlength=_VALUES)
    return PartCensus(sizes, broken, values)


def _decoded(path: Path, decode: Callable[[Path], np.ndarray]) -> Shaped[np.ndarray, "..."] | str:
    try:
        return decode(path)
    except UserError as error:
        return str(error)
