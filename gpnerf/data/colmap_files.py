"""Finds the files of a scene's COLMAP model and reads them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gpnerf.data import colmap_binary, colmap_text
from gpnerf.data.colmap_model import ModelError, SparseModel
from gpnerf.errors import UserError
from gpnerf.storage import read_bytes, read_text

logger = logging.getLogger(__name__)

# Where COLMAP and nerfstudio put their models.
_PLACES = ("sparse", "sparse/*", "colmap/sparse", "colmap/sparse/*")
_PARTS = ("cameras", "images", "points3D")
_REMEDY = "copy or export it again"

Content = TypeVar("Content")


@dataclass(frozen=True)
class ModelFiles:
    """The three files of a model, in text or binary."""

    folder: Path
    suffix: str

    def path(self, part: str) -> Path:
        """The file of the cameras, images or points3D."""
        return self.folder / f"{part}{self.suffix}"

    @property
    def is_complete(self) -> bool:
        """Whether cameras and images are there; points need not be."""
        return all(self.path(part).exists() for part in _PARTS[:2])

    @property
    def changed(self) -> float:
        """When its newest file was written."""
        return max((self.path(part).stat().st_mtime for part in _PARTS if self.path(part).exists()), default=0.0)

    def read(self) -> SparseModel:
        """All of it.

        Raises:
            UserError: a file is missing or damaged.
        """
        form = colmap_text if self.suffix == ".txt" else colmap_binary
        return SparseModel(
            self._part("cameras", form.read_cameras),
            self._part("images", form.read_images),
            self._part("points3D", form.read_points) if self.path("points3D").exists() else None,
        )

    def count(self) -> int:
        """How many images are registered."""
        form = colmap_text if self.suffix == ".txt" else colmap_binary
        return self._part("images", form.count_images) if self.path("images").exists() else 0

    def _part(self, part: str, parse: Callable[..., Content]) -> Content:
        path, expected = self.path(part), f"{part} of a COLMAP model"
        read = read_text if self.suffix == ".txt" else read_bytes
        try:
            return parse(read(path, expected, _REMEDY))
        except (ModelError, ValueError, OverflowError, MemoryError) as error:
            reason = str(error)[:200] or type(error).__name__
            raise UserError(f"{path}: expected {expected}, found {reason}; {_REMEDY}") from error


def find_model(folder: Path) -> ModelFiles | None:
    """A scene's sparse model; None without one.

    Where images do not connect, COLMAP writes several models in any order: the one with most images is taken. Of text
    and binary in one folder it is the newer.
    """
    found = [_newest(path) for path in _folders(folder)]
    if len(found) > 1:
        logger.warning("%s: %d COLMAP models, the one with most images is taken", folder, len(found))
        return max(found, key=ModelFiles.count)
    return found[0] if found else None


def _folders(folder: Path) -> Iterator[Path]:
    paths = (path for place in _PLACES for path in sorted(folder.glob(place)))
    return (path for path in paths if any((path / f"images{suffix}").exists() for suffix in (".bin", ".txt")))


def _newest(folder: Path) -> ModelFiles:
    forms = [ModelFiles(folder, suffix) for suffix in (".txt", ".bin")]
    there = [files for files in forms if files.path("images").exists()]
    # Of two that are equally old the binary one, as COLMAP does.
    chosen = max(there, key=lambda files: (files.is_complete, files.changed, files.suffix == ".bin"))
    if len(there) > 1:
        form = "text" if chosen.suffix == ".txt" else "binary"
        logger.warning("%s: a COLMAP model in text and in binary, the newer is read (%s)", folder, form)
    return chosen
