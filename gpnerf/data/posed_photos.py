"""Photographs with cameras, as the readers of transforms.json and of COLMAP models hand them on."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from gpnerf.camera_checks import require_intrinsics, require_pose
from gpnerf.data.lens import Lens
from gpnerf.errors import UserError

IMAGES = "images"
_DIGITS = re.compile(r"(\d+)")
_LARGEST = 2**16  # pixels; no picture has a longer side
_NAMED = 100  # characters of a name that a message holds


@dataclass(frozen=True)
class PosedPhoto:
    """One photograph: its file, below images/ or at least in the scene's folder, its camera on file and its place."""

    path: Path
    lens: Lens
    cam_to_world: Float[np.ndarray, "4 4"]
    depth: Path | None = None


@dataclass(frozen=True)
class PosedPhotos:
    """A scene's photographs in the order of their names; near and far (metres) where the source tells."""

    photos: tuple[PosedPhoto, ...]
    depth_range: tuple[float, float] | None


def in_order(photos: list[PosedPhoto], where: Path) -> tuple[PosedPhoto, ...]:
    """By file name, numbers in it as numbers (2.jpg before 10.jpg); a file named twice is an error."""
    ordered = sorted(photos, key=lambda photo: _natural(str(photo.path)))
    for one, other in pairwise(ordered):
        if one.path == other.path:
            raise UserError(f"{where}: expected each image once, found {one.path} twice; take one out")
    return tuple(ordered)


def inside(folder: Path, name: object, where: str) -> Path:
    """The file of a relative name below a folder, which may not be there; `where` opens the message.

    Raises:
        UserError: the name is no file's, or leads out of the folder, itself or by a link on the way.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise UserError(f"{where}: expected the name of a file in {folder}, found {_short(name)}; mend it")
    relative = PurePosixPath(name)
    path = folder / relative
    try:
        stays = path.resolve().is_relative_to(folder.resolve())
        path.is_file()
    except (OSError, RuntimeError) as error:  # a loop of links, a name beyond the system's limits
        raise UserError(
            f"{where}: expected the name of a file, found {_short(name)} ({type(error).__name__}); mend it"
        ) from error
    if relative.is_absolute() or ".." in relative.parts or not stays:
        raise UserError(
            f"{where}: expected a file below {folder}, found {_short(name)}, which leads elsewhere; put the file there"
        )
    return path


def checked_pose(pose: Float[np.ndarray, "4 4"], where: str) -> Float[np.ndarray, "4 4"]:
    """The pose, if it is one; `where` opens the message if not."""
    return require_pose(pose, where, "export the scene again, or take the frame out")


def checked_lens(lens: Lens, where: str) -> Lens:
    """The lens, if a camera can have it; `where` opens the message if not."""
    if max(lens.size) > _LARGEST:
        raise UserError(f"{where}: expected up to {_LARGEST} pixels a side, found {lens.width}x{lens.height}; mend it")
    if min(lens.size) <= 0 or not np.isfinite(lens.distortion).all():
        raise UserError(f"{where}: expected a size above 0 and a finite distortion, found {lens}; mend it")
    require_intrinsics(lens.matrix, lens.height, lens.width, where, "mend them")
    straight = lens.rectified
    if not (np.isfinite(straight).all() and min(straight[0, 0], straight[1, 1]) > 0):
        raise UserError(f"{where}: expected a distortion that can be undone, found {lens.distortion}; mend it")
    return lens


def _short(name: object) -> str:
    return repr(name)[:_NAMED]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]
