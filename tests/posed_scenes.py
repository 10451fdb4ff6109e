"""Writes a scene's frames as photographs with a transforms.json or a COLMAP model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

Transforms = dict[str, Any]


def transforms_of(
    poses: np.ndarray, matrix: np.ndarray, size: tuple[int, int], names: Sequence[str], **more: object
) -> Transforms:
    """The content of a transforms.json: OpenGL axes, pixel centres at 0.5, `size` = (height, width)."""
    frames = []
    for name, pose in zip(names, poses, strict=True):
        axes = pose.copy()
        axes[:3, 1] = -axes[:3, 1]  # up
        axes[:3, 2] = -axes[:3, 2]  # backwards
        frames.append({"file_path": name, "transform_matrix": axes.tolist()})
    height, width = size
    (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
    camera = {"fl_x": fx, "fl_y": fy, "cx": cx + 0.5, "cy": cy + 0.5, "w": width, "h": height}
    return {"camera_model": "OPENCV", **camera, "frames": frames, **more}


def write_transforms(folder: Path, content: Transforms) -> Path:
    """Write `content` to the folder's transforms.json."""
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder / "transforms.json"


def parameters(model: str, matrix: np.ndarray, distortion: Sequence[float] = ()) -> list[float]:
    """The numbers of a COLMAP camera, in the order of its documentation."""
    (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
    centre = [cx + 0.5, cy + 0.5]
    single = model.startswith(("SIMPLE", "RADIAL"))
    return [fx, *centre, *distortion] if single else [fx, fy, *centre, *distortion]


def write_colmap(
    folder: Path,
    poses: np.ndarray,
    names: Sequence[str],
    camera: Mapping[str, Any],
    points: np.ndarray | None = None,
    text: bool = False,
) -> Path:
    """A sparse model in `folder`/sparse/0, where each image sees all points; `camera`: model, params, width, height."""
    points = np.empty((0, 3)) if points is None else points
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(pycolmap.Camera(camera_id=1, **camera))
    for place, (name, pose) in enumerate(zip(names, poses, strict=True), start=1):
        seen = pycolmap.Point2DList([pycolmap.Point2D(np.array([1.0, 2.0])) for _ in points])
        image = pycolmap.Image(name=name, points2D=seen, camera_id=1, image_id=place)
        world_to_camera = pycolmap.Rigid3d(pose[:3]).inverse()
        model.add_image_with_trivial_frame(image, world_to_camera)
    for place, point in enumerate(points):
        track = pycolmap.Track()
        for image in range(1, len(names) + 1):
            track.add_element(image, place)
        model.add_point3D(point, track, np.zeros(3, np.uint8))
    target = folder / "sparse" / "0"
    target.mkdir(parents=True, exist_ok=True)
    (model.write_text if text else model.write_binary)(str(target))
    return target
