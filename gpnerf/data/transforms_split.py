"""Which photographs of transforms.json are rendered and which are looked at, as its lists of file names say."""

import logging
from collections.abc import Sequence
from pathlib import Path

from gpnerf.data.posed_photos import PosedPhoto, Split, inside
from gpnerf.data.transforms_entry import Entry
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)


def listed_split(scene: Entry, folder: Path, photos: Sequence[PosedPhoto]) -> Split | None:
    """The split by `train_filenames`, `val_filenames` and `test_filenames`; None without any.

    Raises:
        UserError: a list is none of names, or names a photograph that is in no frame.
    """
    place_of = {photo.path: place for place, photo in enumerate(photos)}
    train, val, test = (_places(scene, f"{part}_filenames", folder, place_of) for part in ("train", "val", "test"))
    everything = set(place_of.values())
    targets, sources = test or val or everything - train, train or everything - val - test
    if not (train or val or test) or not targets:
        return None
    if not sources - targets:
        logger.warning("%s: its file lists are passed over, since they leave nothing to render from", scene.where)
        return None
    return Split(tuple(sorted(targets)), tuple(sorted(sources)))


def _places(scene: Entry, key: str, folder: Path, place_of: dict[Path, int]) -> set[int]:
    names = scene.values.get(key, [])
    if not isinstance(names, list):
        raise UserError(f"{scene.where}: {key}: expected a list of file names, found {type(names).__name__}; mend it")
    paths = [inside(folder, name, f"{scene.where}: {key}") for name in names]
    if strangers := [path for path in paths if path not in place_of]:
        raise UserError(f"{scene.where}: {key}: expected images of 'frames', found {strangers[0]}; mend the list")
    return {place_of[path] for path in paths}
