"""Scenes whose photographs are split over several files: transforms_train.json and its like, as Blender's exporters
write them."""

import logging
from pathlib import Path

from gpnerf.data.posed_photos import PosedPhotos, Split, in_order
from gpnerf.data.transforms import names_no_picture, read_transforms
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

_TRAIN = "transforms_train.json"
_HELD_OUT = ("transforms_test.json", "transforms_val.json")


def find_parts(folder: Path) -> list[Path]:
    """The file of the photographs to look at, and the first of those to render; none without the former.

    Exporters can write the cameras to render without rendering them; such a file is passed over with a warning.
    """
    if not (folder / _TRAIN).exists():
        return []
    held_out = [folder / name for name in _HELD_OUT if (folder / name).exists()]
    bare = [path for path in held_out if names_no_picture(path)]
    if bare:
        logger.warning("%s: passed over, as none of the pictures that it names is there", bare[0])
    return [folder / _TRAIN, *[path for path in held_out if path not in bare][:1]]


def read_parts(paths: list[Path]) -> PosedPhotos:
    """The photographs of the files that `find_parts` finds: those of the second are rendered from those of the first.

    Raises:
        UserError: as `read_transforms`; the files name the same photograph, or depth of different units.
    """
    parts = [read_transforms(path) for path in paths]
    units = [part.depth_unit for part in parts]
    if min(units) != max(units):
        raise UserError(
            f"{paths[-1]}: expected depth in steps of {units[0]:g} as {paths[0].name} says, found {units[-1]:g}; write "
            "depth of one unit"
        )
    photos = in_order([photo for part in parts for photo in part.photos], paths[-1])
    paths_of = [{photo.path for photo in part.photos} for part in parts]
    sources, *targets = (tuple(k for k, photo in enumerate(photos) if photo.path in own) for own in paths_of)
    depth_range = next((part.depth_range for part in parts if part.depth_range), None)
    return PosedPhotos(photos, depth_range, units[0], Split(targets[0], sources) if targets else None)
