"""Reads transforms.json, the poses and cameras of photographs as nerfstudio, instant-ngp and Blender write them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gpnerf.data.posed_photos import PosedPhoto, PosedPhotos, checked_pose, in_order, inside
from gpnerf.data.transforms_depth import depth_unit, near_and_far, require_depth_unit
from gpnerf.data.transforms_entry import Entry, finite
from gpnerf.data.transforms_keys import check_keys
from gpnerf.data.transforms_lens import merged, read_lens
from gpnerf.data.transforms_split import listed_split
from gpnerf.errors import UserError
from gpnerf.storage import read_json

TRANSFORMS = "transforms.json"
# OpenGL's camera looks along -z with y up, ours along z with y down.
_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def read_transforms(path: Path) -> PosedPhotos:
    """The frames of a transforms.json, whose images lie in its folder.

    Camera-to-world poses with OpenGL axes; the camera by keys at the top or in a frame, which win (pixel centres at
    0.5). `near` and `far` at the top are our own addition; without them the points of a COLMAP model beside the file
    tell. `depth_file_path` names depth in millimetres (or `depth_unit_scale_factor`) before `applied_scale`,
    `depth_path` depth in steps of `integer_depth_scale`. Three lists of file names may split the photographs.

    Raises:
        UserError: the file is no such JSON, a number is missing or impossible, a path leads out of the folder, or a
            key would change pictures or poses in a way that is not read.
    """
    folder, top = path.parent, read_json(path, "poses and cameras", "export it again")
    frames = top.get("frames")
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{path}: expected a list 'frames' with an entry for each image, found none; export it again")
    check_keys(top, frames, path)
    scene = merged(top, {}, str(path))
    photos = in_order(
        [_photo(folder, top, frame, f"{path}: frame {place}") for place, frame in enumerate(frames)], path
    )
    if "n_frames" in scene.values:
        photos = photos[: int(scene.positive("n_frames")) or 1]
    if any("depth_path" in frame for frame in frames):
        require_depth_unit(scene)
    return PosedPhotos(
        photos, near_and_far(scene, folder, photos), depth_unit(scene), listed_split(scene, folder, photos)
    )


def names_no_picture(path: Path) -> bool:
    """Whether no picture that a transforms.json names is there; one with faults is left to `read_transforms`."""
    frames = read_json(path, "poses and cameras", "export it again").get("frames")
    if not isinstance(frames, list) or not all(isinstance(frame, Mapping) for frame in frames):
        return False
    where = f"{path}: file_path"
    return bool(frames) and not any(inside(path.parent, frame.get("file_path"), where).is_file() for frame in frames)


def _photo(folder: Path, top: Mapping[str, Any], frame: Any, where: str) -> PosedPhoto:
    if not isinstance(frame, Mapping):
        raise UserError(f"{where}: expected a JSON object, found {type(frame).__name__}; export it again")
    entry = merged(top, frame, where)
    path = inside(folder, entry.values.get("file_path"), f"{where}: file_path")
    if not path.is_file():
        raise UserError(f"{where}: expected the image {path}, found no such file; restore it or take the frame out")
    return PosedPhoto(path, read_lens(entry, path), _pose(entry), _depth(folder, entry))


def _depth(folder: Path, entry: Entry) -> Path | None:
    """The depth file as nerfstudio names it, or as instant-ngp does."""
    loaded = entry.values.get("enable_depth_loading", True)
    for key in ("depth_file_path", *(["depth_path"] if loaded else [])):
        if key in entry.values:
            return inside(folder, entry.values[key], f"{entry.where}: {key}")
    return None


def _pose(entry: Entry) -> Float[np.ndarray, "4 4"]:
    """The camera's pose; one that is given for the start and the end of an exposure must not move."""
    start, end = "transform_matrix_start", "transform_matrix_end"
    key = start if start in entry.values else "transform_matrix"
    matrix = _matrix(entry, key)
    if end in entry.values and not np.array_equal(matrix, _matrix(entry, end)):
        raise UserError(
            f"{entry.where}: expected one pose, found a '{end}' that differs from the start; give the one at half time "
            "as transform_matrix"
        )
    return checked_pose(matrix @ _FROM_OPENGL, f"{entry.where}: {key}")


def _matrix(entry: Entry, key: str) -> Float[np.ndarray, "4 4"]:
    rows, where = entry.values.get(key), f"{entry.where}: {key}"
    rows = rows if isinstance(rows, list) else []
    if [len(row) if isinstance(row, list) else 0 for row in rows] not in ([4] * 4, [4] * 3):
        raise UserError(f"{where}: expected 4 rows of 4 numbers, found another form; export the scene again")
    matrix = np.eye(4)
    matrix[: len(rows)] = [[finite(value, where) for value in row] for row in rows]
    return matrix
