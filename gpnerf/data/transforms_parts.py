"""Scenes whose photographs are split over several files: transforms_train.json and its like, as Blender's exporters
write them."""

from pathlib import Path

from gpnerf.data.posed_photos import PosedPhotos, Split, in_order
from gpnerf.data.transforms import read_transforms
from gpnerf.errors import UserError

_TRAIN = "transforms_train.json"
_HELD_OUT = ("transforms_test.json", "transforms_val.json")


def find_parts(folder: Path) -> list[Path]:
    """The file of the photographs to look at, and the first of those to render; none without the former."""
    held_out = [folder / name for name in _HELD_OUT if (folder / name).exists()]
    return [folder / _TRAIN, *held_out[:1]] if (folder / _TRAIN).exists() else []


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
