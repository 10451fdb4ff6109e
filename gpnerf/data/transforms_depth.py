"""Near and far of the poses in transforms.json, and what a step of its depth files means."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpnerf.data.colmap import depth_range
from gpnerf.data.colmap_files import find_model
from gpnerf.data.colmap_model import SparseModel
from gpnerf.data.posed_photos import MILLIMETRES, PosedPhoto, below_images
from gpnerf.data.transforms_entry import Entry
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

_UNITS = {"integer_depth_scale", "depth_unit_scale_factor"}


def depth_unit(scene: Entry) -> float:
    """A step of the depth files in the unit of the poses.

    nerfstudio's `applied_scale` has shrunk the poses, not the depth; instant-ngp's `integer_depth_scale` knows of none.
    """
    if "integer_depth_scale" in scene.values:
        return scene.positive("integer_depth_scale")
    return scene.positive("depth_unit_scale_factor", MILLIMETRES) * scene.positive("applied_scale", 1.0)


def require_depth_unit(scene: Entry) -> None:
    """Raise `UserError` where nobody says what instant-ngp's depth files count in; that program would read none."""
    if scene.values.get("enable_depth_loading", True) and not _UNITS & scene.values.keys():
        raise UserError(
            f"{scene.where}: expected 'integer_depth_scale' beside 'depth_path' (what a step of the depth files is in "
            'the poses\' unit), found none; write it, or "enable_depth_loading": false to go without depth'
        )


def near_and_far(scene: Entry, folder: Path, photos: Sequence[PosedPhoto]) -> tuple[float, float] | None:
    """`near` and `far`, or how near and far the points of a COLMAP model beside the file are; None without either.

    Raises:
        UserError: the two keys are no range.
    """
    if not {"near", "far"} & scene.values.keys():
        return _of_points(scene, folder, photos)
    near, far = scene.number("near"), scene.number("far")
    if not 0 < near < far:
        raise UserError(f"{scene.where}: expected 0 < near < far, found {near:g} and {far:g}; mend them")
    return near, far


def _of_points(scene: Entry, folder: Path, photos: Sequence[PosedPhoto]) -> tuple[float, float] | None:
    files = find_model(folder)
    if files is None:
        return None
    try:
        model = files.read()
        found = depth_range(model, files)
    except UserError as error:
        logger.warning("no near and far from the COLMAP model: %s", error)
        return None
    scale = _scale(model, folder, photos) or scene.positive("applied_scale", 1.0)
    return None if found is None else (found[0] * scale, found[1] * scale)


def _scale(model: SparseModel, folder: Path, photos: Sequence[PosedPhoto]) -> float | None:
    """How far the poses lie apart by the distances of the same cameras in the model, however they were turned."""
    theirs = {image.name: image.camera_to_world[:3, 3] for image in model.images}
    named = [(photo.cam_to_world[:3, 3], below_images(folder, photo.path).as_posix()) for photo in photos]
    pairs = [(ours, theirs[name]) for ours, name in named if name in theirs]
    if len(pairs) < 2:
        return None
    ours, model_centres = (np.std(centres, axis=0) for centres in zip(*pairs, strict=True))
    lengths = np.linalg.norm(ours), np.linalg.norm(model_centres)
    return float(lengths[0] / lengths[1]) if min(lengths) > 0 else None
