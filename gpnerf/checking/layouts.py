"""Reads a scene's folder in each layout as far as it can be read: a broken part is noted and the rest goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from gpnerf.camera_checks import pose_is_lost, require_pose
from gpnerf.checking.findings import Finding, broken_files, mistake
from gpnerf.checking.recording import Recording
from gpnerf.data.files import (
    SceneFiles,
    find_poses,
    find_series,
    first_image_size,
    optional_series,
    parse_numbers,
    read_matrix,
)
from gpnerf.data.labels import CLASS_MAP_OF, CLASS_NAMES, LABEL_TABLE, LabelMap, label_map
from gpnerf.data.posed_images import photographed_scene, read_photos
from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.replica import require_shape
from gpnerf.data.scannet import read_intrinsics
from gpnerf.data.scene import FrameCache
from gpnerf.data.transforms import TRANSFORMS
from gpnerf.errors import UserError
from gpnerf.storage import require_file

_Pose = Float[np.ndarray, "4 4"]
_Read = TypeVar("_Read")


def record_scannet(folder: Path, name: str) -> Recording:
    """A folder in the ScanNet layout, which rooms share; the label table is looked for beside it.

    Raises:
        UserError: there is no colour image that can be read.
    """
    colour, numbers = find_series(folder / "color", "", (".jpg", ".jpeg", ".png"))
    size = first_image_size(colour, numbers)
    pose_files, _ = find_poses(folder / "pose")
    poses, faults = _each(numbers, lambda n: read_matrix(pose_files.path(n), f"pose of frame {n}"))
    places = [(folder / part, "") for part in ("depth", "label-filt", "instance-filt")]
    files = SceneFiles(colour, *optional_series(name, numbers, *places))
    findings = broken_files(faults)
    path = folder / "intrinsic" / "intrinsic_color.txt"
    refusals: list[Finding] = []
    if (intrinsics := _noted(lambda: read_intrinsics(path), findings)) is not None:
        _noted(lambda: read_intrinsics(path, size), refusals)
    labels = _labels(files, "scannet", folder.parent / LABEL_TABLE, findings)
    names = CLASS_NAMES[CLASS_MAP_OF["scannet"]]
    return Recording(
        name,
        files,
        tuple(numbers),
        size,
        poses,
        None if intrinsics is None else np.tile(intrinsics, (len(numbers), 1, 1)),
        labels,
        names,
        tuple(findings),
        refusals=tuple(refusals),
    )


def record_replica(folder: Path, name: str) -> Recording:
    """One sequence in the layout of the Replica renderings, which are of one known camera.

    Raises:
        UserError: there is no colour image or no trajectory that can be read.
    """
    colour, numbers = find_series(folder / "rgb", "rgb_", (".png", ".jpg", ".jpeg"))
    size = first_image_size(colour, numbers)
    path = folder / "traj_w_c.txt"
    require_file(path, "one pose of 16 numbers a line", "get the scene again")
    lines = path.read_text(errors="replace").splitlines()  # a line of other characters is that frame's fault only

    def pose(number: int) -> _Pose:
        where = f"{path}, line {number + 1} (pose of frame {number})"
        found = parse_numbers(lines[number] if number < len(lines) else "", 16, where).reshape(4, 4)
        return require_pose(found, where, "get the file again") if pose_is_lost(found) else found

    poses, faults = _each(numbers, pose)
    places = [(folder / part, f"{part}_") for part in ("depth", "semantic_class", "semantic_instance")]
    files = SceneFiles(colour, *optional_series(name, numbers, *places))
    findings = broken_files(faults)
    labels = _labels(files, "replica", folder / LABEL_TABLE, findings)
    names = CLASS_NAMES[CLASS_MAP_OF["replica"]]
    _noted(lambda: require_shape(size, folder / "rgb"), findings)
    intrinsics = np.tile(camera_intrinsics("replica", size[1], size[0]), (len(numbers), 1, 1))
    return Recording(name, files, tuple(numbers), size, poses, intrinsics, labels, names, tuple(findings))


def record_posed_images(folder: Path, name: str) -> Recording:
    """Photographs with transforms.json or a COLMAP model; labels are ids of the label table beside the folder.

    Raises:
        UserError: the cameras cannot be read.
    """
    found = read_photos(folder)
    size = found.photos[0].lens.size
    scene = photographed_scene(
        folder, found, name=name, height=size[0], width=size[1], label_map=None, cache=FrameCache(capacity=0)
    )
    findings: list[Finding] = []
    labels = _labels(scene.files, "posed_images", folder.parent / LABEL_TABLE, findings)
    is_json = any(folder.glob("transforms*.json"))
    return Recording(
        name,
        scene.files,
        tuple(scene.numbers.tolist()),
        size,
        dict(zip(scene.numbers.tolist(), scene.cam_to_world, strict=True)),
        scene.intrinsics,
        labels,
        CLASS_NAMES[CLASS_MAP_OF["posed_images"]],
        tuple(findings),
        scene.lenses,
        scene.depth_unit,
        note=f"poses are as read: {TRANSFORMS} has OpenGL axes, which the reader turns into OpenCV's"
        if is_json
        else "",
    )


def _each(numbers: Sequence[int], read: Callable[[int], _Pose]) -> tuple[dict[int, _Pose], list[str]]:
    """The poses that can be read, by frame, and what is wrong with the others."""
    poses, faults = {}, []
    for number in numbers:
        try:
            poses[number] = read(number)
        except UserError as error:
            faults.append(str(error))
    return poses, faults


def _labels(files: SceneFiles, dataset: str, table: Path, findings: list[Finding]) -> LabelMap | None:
    """The class map, for scenes with labels."""
    return _noted(lambda: label_map(CLASS_MAP_OF[dataset], table), findings) if files.labels else None


def _noted(read: Callable[[], _Read], findings: list[Finding]) -> _Read | None:
    """What `read` gives, or None and a mistake among the findings."""
    try:
        return read()
    except UserError as error:
        findings.append(mistake(str(error)))
        return None
