"""Photographs with cameras, as the readers of transforms.json and of COLMAP models hand them on."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath

import numpy as np
from jaxtyping import Float

from gpnerf.camera_checks import require_intrinsics, require_pose
from gpnerf.data.lens import Lens
from gpnerf.data.rectification import DistortionError
from gpnerf.errors import UserError

IMAGES = "images"
MILLIMETRES = 1e-3  # of depth files, in metres
_DIGITS = re.compile(r"(\d+)")
_LARGEST = 2**16  # pixels; no picture has a longer side
_ENDINGS = tuple(ending for lower in (".png", ".jpg", ".jpeg") for ending in (lower, lower.upper()))
_NAMED = 100  # characters of a name that a message holds


@dataclass(frozen=True)
class PosedPhoto:
    """One photograph: its file, below images/ or at least in the scene's folder, its camera on file and its place."""

    path: Path
    lens: Lens
    cam_to_world: Float[np.ndarray, "4 4"]
    depth: Path | None = None


@dataclass(frozen=True)
class Split:
    """Places of the photographs that an evaluation renders, and of those that it may look at; others are left out."""

    targets: tuple[int, ...]
    sources: tuple[int, ...]


@dataclass(frozen=True)
class PosedPhotos:
    """A scene's photographs in the order of their names; near and far (metres) where the source tells.

    `depth_unit` is what a step of the depth files means in the unit of the poses. `split` is there where the source
    says which photographs are rendered and from which.
    """

    photos: tuple[PosedPhoto, ...]
    depth_range: tuple[float, float] | None
    depth_unit: float = MILLIMETRES
    split: Split | None = None


def in_order(photos: list[PosedPhoto], where: Path) -> tuple[PosedPhoto, ...]:
    """By file name, numbers in it as numbers (2.jpg before 10.jpg); a file named twice is an error."""
    ordered = sorted(photos, key=lambda photo: _natural(str(photo.path)))
    for one, other in pairwise(ordered):
        if one.path == other.path:
            raise UserError(f"{where}: expected each image once, found {one.path} twice; take one out")
    return tuple(ordered)


def inside(folder: Path, name: object, where: str) -> Path:
    """The file of a name below a folder, which may not be there; `where` opens the message.

    The name may be absolute, have back-slashes, or lack the ending of the image that is there.

    Raises:
        UserError: the name is no file's, or leads out of the folder, itself or by a link on the way.
    """
    if not isinstance(name, str) or not name or min(name) < " ":  # control characters
        raise UserError(f"{where}: expected the name of a file in {folder}, found {_short(name)}; mend it")
    try:
        spelled = [folder / spelling for spelling in dict.fromkeys((name, name.replace("\\", "/")))]
        bare = [path for path in spelled if path.suffix not in _ENDINGS]
        paths = [*spelled, *(path.with_name(path.name + ending) for path in bare for ending in _ENDINGS)]
        path = next((path for path in paths if path.is_file()), spelled[-1])
        real, top = path.resolve(), folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name beyond the system's limits
        raise UserError(
            f"{where}: expected the name of a file, found {_short(name)} ({type(error).__name__}); mend it"
        ) from error
    if not real.is_relative_to(top):
        raise UserError(
            f"{where}: expected a file below {folder}, found {_short(name)}, which leads elsewhere; put the file there"
        )
    # A path below the folder as it is named, whichever way leads there.
    plain = path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts
    return path if plain else folder / real.relative_to(top)


def below_images(folder: Path, path: Path) -> PurePath:
    """The name of an image below `folder`/images, or below `folder` if it lies elsewhere there."""
    relative = path.relative_to(folder)
    return relative.relative_to(IMAGES) if relative.is_relative_to(IMAGES) else relative


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
    try:
        _ = lens.rectified
    except DistortionError as error:
        coefficients = ", ".join(f"{number:g}" for number in lens.distortion)
        raise UserError(
            f"{where}: expected a distortion that can be undone, found {coefficients}, {error}; calibrate again, or "
            "undistort the images with `colmap image_undistorter`"
        ) from error
    return lens


def _short(name: object) -> str:
    return repr(name)[:_NAMED]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]
