"""Small readers that the data-set layouts share: numbered files, lines of numbers, intrinsics at another size."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpnerf.data.images import image_size
from gpnerf.errors import UserError


@dataclass(frozen=True)
class FileSeries:
    """The files `<folder>/<prefix><frame number><suffix>`."""

    folder: Path
    prefix: str
    suffix: str

    def path(self, number: int) -> Path:
        """The file of one frame."""
        return self.folder / f"{self.prefix}{number}{self.suffix}"


def find_series(folder: Path, prefix: str, suffixes: tuple[str, ...]) -> tuple[FileSeries, list[int]]:
    """The series of the first suffix that occurs in a folder, and its frame numbers; other names are passed over."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    for suffix in suffixes:
        # A number has one spelling only (no leading zeros), so that it leads back to its file.
        pattern = re.compile(re.escape(prefix) + r"(0|[1-9]\d*)" + re.escape(suffix))
        numbers = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
        if numbers:
            return FileSeries(folder, prefix, suffix), sorted(numbers)
    expected = " or ".join(f"{prefix}N{suffix}" for suffix in suffixes)
    found = f"{len(names)} files, none of such a name" if folder.is_dir() else "no such folder"
    raise UserError(f"{folder}: expected colour images {expected}, found {found}; prepare the scene again")


def optional_series(folder: Path, prefix: str = "") -> FileSeries | None:
    """The PNG files of a folder, None if there is no such folder."""
    return FileSeries(folder, prefix, ".png") if folder.is_dir() else None


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
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        found = "no such file" if not path.exists() else "a file that is no text"
        raise UserError(f"{path}: expected {what} (16 numbers), found {found}; export the scene again") from error
    return parse_numbers(text, 16, f"{path}: {what}").reshape(4, 4)


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
