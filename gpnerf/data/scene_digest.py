"""What tells whether a scene on disk is still the one that something was made from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gpnerf.data.files import read_many
from gpnerf.data.frames import PARTS, Part
from gpnerf.data.scene import Scene
from gpnerf.storage import digest


def scene_digest(scene: Scene) -> str:
    """SHA-256 of all that the scene's views and truth depend on: cameras, sizes, table of classes, and its files by
    name, size and time of change, so that a copy of them counts as another scene.
    """
    classes = scene.label_map
    described = {
        "cameras": cameras_digest(scene),
        "frames": scene.numbers.tolist(),
        "form": asdict(scene.form),
        "file_size": scene.file_size,
        "lenses": list(map(str, scene.lenses)),
        "depth_range": scene.depth_range,
        "depth_unit": scene.depth_unit,
        "targets": [scene.evaluation_frames, scene.with_lost],
        "classes": None if classes is None else [_bytes(classes.raw_ids), _bytes(classes.train_ids), classes.ignore],
        "instances": None if scene.instance_map is None else asdict(scene.instance_map),
        "files": file_identities(scene, PARTS),
    }
    return digest(json.loads(json.dumps(described)))


def cameras_digest(scene: Scene) -> str:
    """SHA-256 of a scene's intrinsics and poses."""
    return digest([_bytes(scene.intrinsics), _bytes(scene.cam_to_world)])


def file_identities(scene: Scene, parts: Sequence[Part], folder: Path | None = None) -> list[str]:
    """Name (under `folder`, or alone), size and time of change of every file of some parts of a scene's frames."""
    paths = [path for part in parts for index in range(len(scene)) if (path := scene.path(part, index))]

    def identity(place: int) -> str:
        path = paths[place]
        name = path.relative_to(folder) if folder else path.name
        try:
            found = path.stat()
        except OSError:  # whoever reads it will say what is wrong
            return f"{name} absent"
        return f"{name} {found.st_size} {found.st_mtime_ns}"

    return read_many(identity, range(len(paths)))


def _bytes(array: Any) -> str:
    return digest(np.ascontiguousarray(array).tobytes())
