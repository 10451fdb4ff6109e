"""Scenes in the ScanNet layout, as exported from the `.sens` files (and as rooms are written)."""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64

from gpnerf.camera_checks import (
    is_off_middle,
    other_size,
    pose_is_lost,
    require_intrinsics,
    require_own_size,
    require_pose,
    shape_fault,
)
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

# (height, width) that the released program took for every colour image; it took the factor of the width for both axes.
_RELEASED_SIZE = (968, 1296)
_EXPORT = "export the scene again"
_RESCALE = "scale them to the size of the files in color/ (scripts/check_data.py names the factors)"
_RELEASED_REMEDY = "the released protocol takes all pictures for ScanNet's own: export those, or take another one"


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

    Frames whose pose is lost (inf, NaN or zeros) are dropped; they and frames without a picture keep their places in
    the order. `frame_order` is "numeric" or "lexicographic" (by frame number as text, as the released program sorts);
    `compat` "release" takes its intrinsics, blur and nearest neighbour, and its order, from which lost frames are
    missing.

    Raises:
        UserError: files are missing, a pose is none, or the intrinsics are not those of such pictures.
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
    path = folder / "intrinsic" / "intrinsic_color.txt"
    if released:
        factor = width / _RELEASED_SIZE[1]
        scale = (factor, factor)
        intrinsics = read_intrinsics(path, _RELEASED_SIZE, _RELEASED_REMEDY) * [[factor], [factor], [1.0]]
    else:
        scale = (width / file_size[1], height / file_size[0])
        intrinsics = rescale_intrinsics(read_intrinsics(path, file_size), scale)
    places = [(folder / part, "") for part in ("depth", "label-filt", "instance-filt")]
    return Scene(
        name=name,
        files=SceneFiles(colour, *optional_series(name, list(poses), *places)),
        numbers=np.array(list(poses)),
        intrinsics=np.tile(intrinsics, (len(poses), 1, 1)),
        cam_to_world=np.stack(list(poses.values())),
        file_size=file_size,
        form=ImageForm(height, width, scale, centred=not released),
        label_map=label_map,
        strict_labels=not released,
        cache=cache,
        with_lost=() if released else tuple(with_lost),
    )


def read_intrinsics(
    path: Path, size: tuple[int, int] | None = None, remedy: str = _RESCALE
) -> Float64[np.ndarray, "3 3"]:
    """The colour camera of a recording, in pixels of pictures of (height, width) `size`; of whichever without.

    The principal point of a recording is near the middle. Pictures cut out of larger ones may have it elsewhere, which
    is worth a warning; one that is the middle of a smaller or turned picture says that the intrinsics are not theirs.

    Raises:
        UserError: the file holds no pinhole camera, or that of another picture size.
    """
    matrix = read_matrix(path, "colour intrinsics")[:3, :3]
    if fault := shape_fault(matrix):
        raise UserError(f"{path}: expected the intrinsics of a pinhole camera in pixels, found {fault}; {_EXPORT}")
    if size is None:
        return matrix
    height, width = size
    require_intrinsics(matrix, height, width, str(path), remedy)
    other = other_size(matrix, height, width)
    if other and min(other[0] - height, other[1] - width) < 0:
        require_own_size(matrix, height, width, str(path), remedy)
    if is_off_middle(matrix, height, width):
        logger.warning(
            "%s: the principal point is far from the middle of a %dx%d picture: are these intrinsics of another size? "
            "See scripts/check_data.py",
            path,
            width,
            height,
        )
    return matrix


def _usable_poses(files: FileSeries, name: str, numbers: list[int]) -> dict[int, Float[np.ndarray, "4 4"]]:
    poses = _read_poses(files, numbers)
    lost = [n for n, pose in poses.items() if pose_is_lost(pose)]
    if len(lost) == len(poses):
        raise UserError(f"{files.folder}: expected poses, found inf, NaN or zeros in all {len(lost)}; {_EXPORT}")
    if lost:
        logger.warning(
            "%s: dropped %d of %d frames, whose poses hold inf, NaN or zeros: %s",
            name,
            len(lost),
            len(poses),
            first_of([files.path(n) for n in lost]),
        )
    left = set(poses).difference(lost)
    return {n: require_pose(pose, str(files.path(n)), _EXPORT) for n, pose in poses.items() if n in left}


def _warn_without_picture(files: FileSeries, name: str, frames: list[int]) -> None:
    poses = _read_poses(files, frames)
    warn_without_picture(name, [n for n, pose in poses.items() if not pose_is_lost(pose)])


def _read_poses(files: FileSeries, numbers: list[int]) -> dict[int, Float[np.ndarray, "4 4"]]:
    read = read_many(lambda n: read_matrix(files.path(n), f"camera-to-world pose of frame {n}"), numbers)
    return dict(zip(numbers, read, strict=True))
