"""Reads transforms.json, the poses and cameras of photographs as nerfstudio and instant-ngp write them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gpnerf.data.images import image_size
from gpnerf.data.lens import Lens
from gpnerf.data.posed_photos import PosedPhoto, PosedPhotos, checked_lens, checked_pose, in_order, inside
from gpnerf.errors import UserError
from gpnerf.storage import read_bytes

TRANSFORMS = "transforms.json"
# The models whose numbers OpenCV's five coefficients hold.
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
_DISTORTION = ("k1", "k2", "p1", "p2", "k3")
# OpenGL's camera looks along -z with y up, ours along z with y down.
_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def read_transforms(folder: Path) -> PosedPhotos:
    """The frames of `folder`/transforms.json.

    Camera-to-world poses with OpenGL axes; `fl_x`, `fl_y`, `cx`, `cy`, `w`, `h` in pixels with centres at 0.5, and
    `k1 k2 p1 p2 k3`, at the top or in a frame, which wins. Without `fl_y`, `cx`, `cy`: square pixels, the middle;
    without `w`, `h`: the file's. `near` and `far` at the top are our own addition. `depth_file_path` may name depth in
    millimetres.

    Raises:
        UserError: the file is no such JSON, a number is missing or impossible, a path leads out of the folder.
    """
    path = folder / TRANSFORMS
    top = _load(path)
    frames = top.get("frames")
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{path}: expected a list 'frames' with an entry for each image, found none; export it again")
    photos = [_photo(folder, top, frame, f"{path}: frame {place}") for place, frame in enumerate(frames)]
    return PosedPhotos(in_order(photos, path), _depth_range(top, path))


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_bytes(path, "the poses of the photographs", "export them again"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected JSON, found a mistake ({error}); export it again") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected a JSON object, found {type(content).__name__}; export it again")
    return content


def _photo(folder: Path, top: Mapping[str, Any], frame: Any, where: str) -> PosedPhoto:
    if not isinstance(frame, Mapping):
        raise UserError(f"{where}: expected a JSON object, found {type(frame).__name__}; export it again")
    path = inside(folder, frame.get("file_path"), f"{where}: file_path")
    if not path.is_file():
        raise UserError(f"{where}: expected the image {path}, found no such file; restore it or take the frame out")
    depth = frame.get("depth_file_path")
    return PosedPhoto(
        path,
        _lens({**top, **frame}, path, where),
        _pose(frame.get("transform_matrix"), f"{where}: transform_matrix"),
        None if depth is None else inside(folder, depth, f"{where}: depth_file_path"),
    )


def _lens(values: Mapping[str, Any], path: Path, where: str) -> Lens:
    model = values.get("camera_model", "OPENCV")
    if model not in _MODELS or values.get("k4"):
        raise UserError(
            f"{where}: expected camera_model {', '.join(_MODELS)} without k4, found {model!r}; undistort the images"
        )

    def number(key: str, default: float | None = None) -> float:
        return _number(values.get(key, default), f"{where}: {key}")

    height, width = (int(number("h")), int(number("w"))) if {"h", "w"} <= values.keys() else image_size(path)
    focal = number("fl_x")
    lens = Lens(
        height,
        width,
        (focal, number("fl_y", focal)),
        # Pixel centres: theirs lie at 0.5, ours at integers.
        (number("cx", width / 2) - 0.5, number("cy", height / 2) - 0.5),
        tuple(number(key, 0.0) for key in _DISTORTION),
    )
    return checked_lens(lens, where)


def _pose(rows: Any, where: str) -> Float[np.ndarray, "4 4"]:
    if not isinstance(rows, list) or [isinstance(row, list) and len(row) for row in rows] != [4] * 4:
        raise UserError(f"{where}: expected 4 rows of 4 numbers, found another form; export the scene again")
    matrix = np.array([[_number(value, where) for value in row] for row in rows])
    return checked_pose(matrix @ _FROM_OPENGL, where)


def _depth_range(top: Mapping[str, Any], path: Path) -> tuple[float, float] | None:
    if not {"near", "far"} & top.keys():
        return None
    near, far = (_number(top.get(key), f"{path}: {key}") for key in ("near", "far"))
    if not 0 < near < far < np.inf:
        raise UserError(f"{path}: expected 0 < near < far, found {near:g} and {far:g}; mend them")
    return near, far


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < np.inf:
        raise UserError(f"{where}: expected a finite number, found {str(value)[:40]!r}; mend it")
    try:
        return float(value)
    except OverflowError as error:
        raise UserError(f"{where}: expected a finite number, found one of {len(str(value))} digits; mend it") from error
