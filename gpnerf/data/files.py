"""Small readers that the data-set layouts share: numbered files, lines of numbers, intrinsics at another size."""

import logging
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from gpnerf.data.images import image_size
from gpnerf.errors import UserError
from gpnerf.storage import read_text

logger = logging.getLogger(__name__)

_NAMED = 5  # files that a message names
_READERS = 16

T = TypeVar("T")


@dataclass(frozen=True)
class FileSeries:
    """The files `<folder>/<prefix><frame number><suffix>`; `missing` are the scene's frames that have none."""

    folder: Path
    prefix: str
    suffix: str
    missing: frozenset[int] = frozenset()

    def path(self, number: int) -> Path:
        """The file of one frame."""
        return self.folder / f"{self.prefix}{number}{self.suffix}"


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


def find_series(folder: Path, prefix: str, suffixes: tuple[str, ...]) -> tuple[FileSeries, list[int]]:
    """The series of the first suffix that occurs in a folder, and its frame numbers; other names are passed over."""
    names = _names(folder)
    for suffix in suffixes:
        if numbers := _numbers(names, prefix, suffix):
            return FileSeries(folder, prefix, suffix), sorted(numbers)
    expected = " or ".join(f"{prefix}N{suffix}" for suffix in suffixes)
    found = f"{len(names)} files, none of such a name" if folder.is_dir() else "no such folder"
    raise UserError(f"{folder}: expected colour images {expected}, found {found}; prepare the scene again")


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
    """`count` numbers separated by white space; `where` (file, line) opens the message if they are not there."""
    words = text.split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise UserError(f"{where}: expected {count} numbers, found text ({error}); export it again") from error
    if len(numbers) != count:
        raise UserError(f"{where}: expected {count} numbers, found {len(numbers)}; export it again")
    return numbers


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
    """(height, width) of the first file with a readable header, so that one broken file does not stop a scene."""
    for number in numbers[:-1]:
        try:
            return image_size(series.path(number))
        except UserError:
            continue
    return image_size(series.path(numbers[-1]))


def rescale_intrinsics(matrix: Float[np.ndarray, "3 3"], scale: tuple[float, float]) -> Float[np.ndarray, "3 3"]:
    """Intrinsics of an image resized by (x, y) factors: f' = f s, c' = (c + 0.5) s - 0.5, pixel centres at integers."""
    scaled = matrix.copy()
    for axis, factor in enumerate(scale):
        scaled[axis] *= factor
        scaled[axis, 2] += 0.5 * factor - 0.5
    return scaled


def _optional(folder: Path, prefix: str, frames: frozenset[int]) -> FileSeries | None:
    missing = frames.difference(_numbers(_names(folder), prefix, ".png"))
    return None if missing == frames else FileSeries(folder, prefix, ".png", missing)


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 (a path for each of thousands is slow)


def _numbers(names: Sequence[str], prefix: str, suffix: str) -> list[int]:
    # A number has one spelling only (no leading zeros), so that it leads back to its file.
    pattern = re.compile(re.escape(prefix) + r"(0|[1-9]\d*)" + re.escape(suffix))
    return [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
