"""Small readers that the data-set layouts share: numbered files, lines of numbers, intrinsics at another size."""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from gpnerf.data.file_names import frames_by_name
from gpnerf.data.images import PictureHeader, read_header
from gpnerf.data.picture_notes import note_pictures, read_headers
from gpnerf.errors import UserError
from gpnerf.storage import read_text

logger = logging.getLogger(__name__)

# What printf makes of NaN and inf under Linux and Windows, where Python's own `float` does not read it.
_NOT_FINITE = re.compile(
    r"([+-]?)(?:nan\(\w*\)|\d\.?#(?:ind|[qs]?nan)\w*|(?P<inf>\d\.?#inf\w*))", re.IGNORECASE | re.ASCII
)
_NAMED = 5  # files that a message names
_READERS = 16

T = TypeVar("T")


@dataclass(frozen=True)
class FileSeries:
    """The files `<folder>/<prefix><frame number><suffix>`; `missing` are the scene's frames that have none.

    `others` are the names of those frames whose files are named in another way (.JPG, leading zeros).
    """

    folder: Path
    prefix: str
    suffix: str
    missing: frozenset[int] = frozenset()
    others: Mapping[int, str] = field(default_factory=dict)

    def path(self, number: int) -> Path:
        """The file of one frame."""
        return self.folder / self.others.get(number, f"{self.prefix}{number}{self.suffix}")


@dataclass(frozen=True)
class FileList:
    """Files of any name: the N-th is that of frame N; `missing` are the frames whose file is not there."""

    paths: tuple[Path, ...]
    missing: frozenset[int] = frozenset()

    def path(self, number: int) -> Path:
        """The file of one frame."""
        return self.paths[number]


@dataclass(frozen=True)
class SceneFiles:
    """Where the files of a scene's frames lie; None for a part that the scene does not have."""

    colour: FileSeries | FileList
    depth: FileSeries | FileList | None = None
    labels: FileSeries | FileList | None = None
    instances: FileSeries | FileList | None = None


def find_series(folder: Path, prefix: str, endings: tuple[str, ...]) -> tuple[FileSeries, list[int]]:
    """The colour files `<prefix><number><ending>` of a folder and their frame numbers, ascending.

    Case and leading zeros do not count; of several files of a frame the ending listed first wins. Warnings name what is
    left aside.
    """
    names = _names(folder)
    found = frames_by_name(names, prefix, endings, folder)
    if not found:
        expected = f"{', '.join(f'{prefix}N{ending}' for ending in endings[:-1])} or {prefix}N{endings[-1]}"
        some = f" such as {min(names)!r}" if names else ""
        there = f"{len(names)} files{some}, none of such a name" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: expected colour images {expected}, found {there}; prepare the scene again")
    return _series(folder, prefix, found), sorted(found)


def find_poses(folder: Path) -> tuple[FileSeries, list[int]]:
    """The pose files `<number>.txt` of a folder and their frame numbers, ascending; there may be none."""
    found = frames_by_name(_names(folder), "", (".txt",), folder)
    return _series(folder, "", found), sorted(found)


def optional_series(scene: str, frames: Sequence[int], *places: tuple[Path, str]) -> list[FileSeries | None]:
    """The PNG files of the scene's frames in each (folder, prefix); None where no frame has one.

    One warning names the files that single frames lack.
    """
    found = [_optional(folder, prefix, frozenset(frames)) for folder, prefix in places]
    lacking = [series.path(number) for series in found if series for number in sorted(series.missing)]
    if lacking:
        logger.warning(
            "%s: %d depth, label or instance files are missing (of %d frames); their frames go without: %s",
            scene,
            len(lacking),
            len(frames),
            first_of(lacking),
        )
    return found


def first_of(paths: Sequence[Path]) -> str:
    """The first few of many paths, for a message."""
    return ", ".join(map(str, paths[:_NAMED])) + (" ..." if len(paths) > _NAMED else "")


def parse_numbers(text: str, count: int, where: str) -> Float[np.ndarray, "numbers"]:
    """`count` numbers separated by white space; `where` (file, line) opens the message if they are not there.

    inf and NaN are read as every C library writes them: -nan, nan(ind), -1.#IND, 1.#QNAN, 1.#INF.
    """
    words = text.split()
    try:
        numbers = np.array([_number(word) for word in words])
    except ValueError as error:
        raise UserError(f"{where}: expected {count} numbers, found text ({error}); export it again") from error
    if len(numbers) != count:
        raise UserError(f"{where}: expected {count} numbers, found {len(numbers)}; export it again")
    return numbers


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        if match := _NOT_FINITE.fullmatch(word):
            return float(f"{match[1]}inf") if match["inf"] else float("nan")
        raise


def read_matrix(path: Path, what: str) -> Float[np.ndarray, "4 4"]:
    """A text file of 16 numbers, row by row; inf and NaN are passed on."""
    text = read_text(path, f"{what} (16 numbers)", "export the scene again")
    return parse_numbers(text, 16, f"{path}: {what}").reshape(4, 4)


def read_many(read: Callable[[int], T], numbers: Sequence[int]) -> list[T]:
    """What `read` makes of each frame number, in order, in threads that wait for a distant disk side by side.

    An error is that of the first number that has one.
    """
    size = -(-len(numbers) // _READERS)
    # Whole shares: to hand over single files takes longer than to read them from a near disk.
    shares = [numbers[start : start + size] for start in range(0, len(numbers), size or 1)]
    with ThreadPoolExecutor(_READERS) as readers:
        parts = readers.map(lambda share: [read(number) for number in share], shares)
        return [item for part in parts for item in part]


def first_image_size(series: FileSeries, numbers: list[int]) -> tuple[int, int]:
    """(height, width) of the first file with a readable header, so that one broken file does not stop a scene.

    A warning tells of what is unusual in this picture, or in the first of each other ending.
    """
    path, header = _first_readable(series, numbers)
    others = {Path(series.others[n]).suffix: series.path(n) for n in reversed(numbers) if n in series.others}
    others.pop(path.suffix, None)
    note_pictures(series.folder, {path: header, **read_headers(list(others.values()))})
    return header.size


def _first_readable(series: FileSeries, numbers: list[int]) -> tuple[Path, PictureHeader]:
    for number in numbers[:-1]:
        try:
            return series.path(number), read_header(series.path(number))
        except UserError:
            continue
    return series.path(numbers[-1]), read_header(series.path(numbers[-1]))


def rescale_intrinsics(matrix: Float[np.ndarray, "3 3"], scale: tuple[float, float]) -> Float[np.ndarray, "3 3"]:
    """Intrinsics of an image resized by (x, y) factors: f' = f s, c' = (c + 0.5) s - 0.5, pixel centres at integers."""
    scaled = matrix.copy()
    for axis, factor in enumerate(scale):
        scaled[axis] *= factor
        scaled[axis, 2] += 0.5 * factor - 0.5
    return scaled


def _optional(folder: Path, prefix: str, frames: frozenset[int]) -> FileSeries | None:
    found = frames_by_name(_names(folder), prefix, (".png",), folder)
    missing = frames.difference(found)
    return None if missing == frames else _series(folder, prefix, found, missing)


def _series(folder: Path, prefix: str, found: Mapping[int, str], missing: frozenset[int] = frozenset()) -> FileSeries:
    endings = Counter(Path(name).suffix for name in found.values()).most_common(1)
    suffix = endings[0][0] if endings else ".txt"
    others = {number: name for number, name in found.items() if name != f"{prefix}{number}{suffix}"}
    return FileSeries(folder, prefix, suffix, missing, others)


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 (a path for each of thousands is slow)
