"""Reads a scene's folder in each layout as far as it can be read: a broken part is noted and the rest goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from gpnerf.checking.findings import Finding, broken_files, mistake
from gpnerf.checking.recording import Recording
from gpnerf.data.colmap import find_model, read_colmap
from gpnerf.data.files import SceneFiles, find_series, first_image_size, optional_series, parse_numbers, read_matrix
from gpnerf.data.labels import CLASS_MAP_OF, CLASS_NAMES, LABEL_TABLE, LabelMap, label_map
from gpnerf.data.posed_images import posed_images_scene
from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.scene import FrameCache
from gpnerf.data.transforms import TRANSFORMS, read_transforms
from gpnerf.errors import UserError
from gpnerf.storage import require_file

_Pose = Float[np.ndarray, "4 4"]
_Read = TypeVar("_Read")


def record_scannet(folder: Path, name: str) -> Recording:
    """A folder in the ScanNet layout, which rooms share; the label table is looked for beside it.

    Raises:
        UserError: there is no colour image that can be read.
    """
    colour, numbers = find_series(folder / "color", "", (".jpg", ".png"))
    size = first_image_size(colour, numbers)
    poses, faults = _each(numbers, lambda n: read_matrix(folder / "pose" / f"{n}.txt", f"pose of frame {n}"))
    places = [(folder / part, "") for part in ("depth", "label-filt", "instance-filt")]
    files = SceneFiles(colour, *optional_series(name, numbers, *places))
    findings = broken_files(faults)
    intrinsics = _noted(lambda: _intrinsics(folder / "intrinsic" / "intrinsic_color.txt"), findings)
    labels = _labels(files, "scannet", folder.parent / LABEL_TABLE, findings)
    names = CLASS_NAMES[CLASS_MAP_OF["scannet"]]
    return Recording(name, files, tuple(numbers), size, poses, intrinsics, labels, names, tuple(findings))


def record_replica(folder: Path, name: str) -> Recording:
    """One sequence in the layout of the Replica renderings, which are of one known camera.

    Raises:
        UserError: there is no colour image or no trajectory that can be read.
    """
    colour, numbers = find_series(folder / "rgb", "rgb_", (".png", ".jpg"))
    size = first_image_size(colour, numbers)
    path = folder / "traj_w_c.txt"
    require_file(path, "one pose of 16 numbers a line", "get the scene again")
    lines = path.read_text(errors="replace").splitlines()  # a line of other characters is that frame's fault only

    def pose(number: int) -> _Pose:
        where = f"{path}, line {number + 1} (pose of frame {number})"
        return parse_numbers(lines[number] if number < len(lines) else "", 16, where).reshape(4, 4)

    poses, faults = _each(numbers, pose)
    places = [(folder / part, f"{part}_") for part in ("depth", "semantic_class", "semantic_instance")]
    files = SceneFiles(colour, *optional_series(name, numbers, *places))
    findings = broken_files(faults)
    labels = _labels(files, "replica", folder / LABEL_TABLE, findings)
    names = CLASS_NAMES[CLASS_MAP_OF["replica"]]
    intrinsics = camera_intrinsics("replica", size[1], size[0])
    return Recording(name, files, tuple(numbers), size, poses, intrinsics, labels, names, tuple(findings))


def record_posed_images(folder: Path, name: str) -> Recording:
    """Photographs with transforms.json or a COLMAP model; labels are ids of the label table beside the folder.

    Raises:
        UserError: the cameras cannot be read.
    """
    size = _photo_size(folder)
    scene = posed_images_scene(
        folder, name=name, height=size[0], width=size[1], label_map=None, cache=FrameCache(capacity=0)
    )
    findings: list[Finding] = []
    labels = _labels(scene.files, "posed_images", folder.parent / LABEL_TABLE, findings)
    is_json = (folder / TRANSFORMS).is_file()
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
        note=f"poses are as read: {TRANSFORMS} has OpenGL axes, which the reader turns into OpenCV's"
        if is_json
        else "",
    )


def _photo_size(folder: Path) -> tuple[int, int]:
    """(height, width) of the first photograph."""
    model = find_model(folder)
    if model is None or (folder / TRANSFORMS).is_file():
        return read_transforms(folder).photos[0].lens.size
    return read_colmap(folder, model).photos[0].lens.size


def _each(numbers: Sequence[int], read: Callable[[int], _Pose]) -> tuple[dict[int, _Pose], list[str]]:
    """The poses that can be read, by frame, and what is wrong with the others."""
    poses, faults = {}, []
    for number in numbers:
        try:
            poses[number] = read(number)
        except UserError as error:
            faults.append(str(error))
    return poses, faults


def _intrinsics(path: Path) -> Float[np.ndarray, "3 3"]:
    matrix = read_matrix(path, "colour intrinsics")[:3, :3]
    if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise UserError(f"{path}: expected finite intrinsics with positive focal lengths, found {matrix.tolist()}")
    return matrix


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
