"""Scenes in the ScanNet layout, as exported from the `.sens` files (and as rooms are written)."""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpnerf.camera_checks import pose_is_lost
from gpnerf.data.file_names import recorded_frames, warn_without_picture
from gpnerf.data.files import (
    FileSeries,
    SceneFiles,
    find_poses,
    find_series,
    first_image_size,
    first_of,
    optional_series,
    read_many,
    read_matrix,
    rescale_intrinsics,
)
from gpnerf.data.labels import LabelMap
from gpnerf.data.scene import FrameCache, ImageForm, Scene
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

# The released program took this width for every colour image and its factor for both axes.
_RELEASED_FILE_WIDTH = 1296


def scannet_scene(
    folder: Path,
    *,
    name: str,
    height: int,
    width: int,
    label_map: LabelMap | None,
    cache: FrameCache,
    frame_order: str = "numeric",
    compat: str = "none",
) -> Scene:
    """Open `folder` = sceneXXXX_YY with color/, pose/, intrinsic/ and, if there, depth/, label-filt/, instance-filt/.

    Frames whose pose holds inf or NaN are dropped; they and frames without a picture keep their places in the order.
    `frame_order` is "numeric" or "lexicographic" (by frame number as text, as the released program sorts); `compat`
    "release" takes its intrinsics, blur and nearest neighbour, and its order, from which lost frames are missing.
    """
    if not (folder / "color").is_dir():
        raise UserError(f"{folder}: expected a scene with color/, pose/ and intrinsic/, found no folder color/")
    colour, numbers = find_series(folder / "color", "", (".jpg", ".jpeg", ".png"))
    pose_files, posed = find_poses(folder / "pose")
    order = str if frame_order == "lexicographic" else int
    poses = _usable_poses(pose_files, name, sorted(numbers, key=order))
    with_lost = sorted(recorded_frames(numbers, posed), key=order)
    _warn_without_picture(pose_files, name, sorted(set(with_lost).difference(numbers)))
    file_size = first_image_size(colour, list(poses))
    released = compat == "release"
    factor = width / _RELEASED_FILE_WIDTH
    scale = (factor, factor) if released else (width / file_size[1], height / file_size[0])
    places = [(folder / part, "") for part in ("depth", "label-filt", "instance-filt")]
    return Scene(
        name=name,
        files=SceneFiles(colour, *optional_series(name, list(poses), *places)),
        numbers=np.array(list(poses)),
        intrinsics=_scaled_intrinsics(folder / "intrinsic" / "intrinsic_color.txt", scale, released),
        cam_to_world=np.stack(list(poses.values())),
        file_size=file_size,
        form=ImageForm(height, width, scale, centred=not released),
        label_map=label_map,
        strict_labels=not released,
        cache=cache,
        with_lost=() if released else tuple(with_lost),
    )


def _usable_poses(files: FileSeries, name: str, numbers: list[int]) -> dict[int, Float[np.ndarray, "4 4"]]:
    read = read_many(lambda n: read_matrix(files.path(n), f"camera-to-world pose of frame {n}"), numbers)
    poses = dict(zip(numbers, read, strict=True))
    usable = {n: pose for n, pose in poses.items() if np.isfinite(pose).all()}
    if dropped := [n for n in poses if n not in usable]:
        logger.warning(
            "%s: dropped %d of %d frames, whose poses hold inf or NaN: %s",
            name,
            len(dropped),
            len(poses),
            first_of([files.path(n) for n in dropped]),
        )
    if not usable:
        raise UserError(
            f"{files.folder}: expected finite poses, found inf or NaN in all {len(poses)}; export the scene again"
        )
    return usable


def _warn_without_picture(files: FileSeries, name: str, frames: list[int]) -> None:
    poses = read_many(lambda n: read_matrix(files.path(n), f"camera-to-world pose of frame {n}"), frames)
    warn_without_picture(name, [n for n, pose in zip(frames, poses, strict=True) if not pose_is_lost(pose)])


def _scaled_intrinsics(path: Path, scale: tuple[float, float], released: bool) -> Float[np.ndarray, "3 3"]:
    matrix = read_matrix(path, "colour intrinsics")[:3, :3]
    if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise UserError(f"{path}: expected finite intrinsics with positive focal lengths, found {matrix.tolist()}")
    return matrix * [[scale[0]], [scale[1]], [1.0]] if released else rescale_intrinsics(matrix, scale)
