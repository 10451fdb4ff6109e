"""The files of a reconstruction: meshes in each colouring, a labelled point cloud, and what the numbers mean."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from gpnerf.errors import UserError
from gpnerf.fusion.preview import preview
from gpnerf.fusion.surface import Surface
from gpnerf.fusion.votes import NONE, Appearance
from gpnerf.metrics.image import to_uint8
from gpnerf.storage import strict_json, write_whole
from gpnerf.visualize.colouring import IGNORE_COLOUR, class_palette
from gpnerf.visualize.png import save_picture

# glTF's y axis points up, where a scene's z axis does.
_Z_UP_TO_Y_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
# All that a reconstruction may leave.
_NAMES = ("mesh.ply", "points.ply", "mesh.glb", "mesh_classes.glb", "mesh_instances.glb", "legend.json", "preview.png")
_GAMMA = 2.2  # glTF's vertex colours are linear in light, photos are not

Colours = UInt8[np.ndarray, "vertices 3"]


@dataclass(frozen=True)
class Legend:
    """The name of every class, and the data set's number of every instance, by their numbers in an appearance."""

    class_names: Sequence[str]
    instance_ids: Sequence[int]


def require_libraries() -> None:
    """Raise `UserError` where the packages of the extra `geometry` are not installed."""
    missing = [name for name in ("skimage", "trimesh") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"meshes need scikit-image and trimesh, found no {missing[0]}; pip install scikit-image trimesh"
        )


def write_geometry(folder: Path, surface: Surface, looks: Appearance, legend: Legend) -> list[Path]:
    """Write `mesh.ply`, `mesh.glb`, `points.ply`, `preview.png` and `legend.json`, and where there are such,
    `mesh_classes.glb` and `mesh_instances.glb`. Returns the paths.

    Every vertex of a PLY file has x y z (metres, the scene's axes), red green blue alpha, class and instance: the data
    set's ids, -1 for none. GLB files are turned so that the scene's z axis points up there.
    The files of an earlier reconstruction go first: a stop never leaves some of each.
    """
    photo = to_uint8(looks.colour).numpy()
    classes, instances = (_ids(ids, len(photo)) for ids in (looks.classes, looks.instances))
    paintings = {"mesh": photo}
    if looks.classes is not None:
        paintings["mesh_classes"] = _painted(classes, len(legend.class_names))
    if looks.instances is not None:
        paintings["mesh_instances"] = _painted(instances, len(legend.instance_ids))
    raw = np.append(np.array(legend.instance_ids, dtype=np.int64), NONE)[instances]
    attributes = {"class": classes.astype(np.int32), "instance": raw.astype(np.int32)}
    points = Surface(surface.vertices, surface.normals, surface.faces[:0])
    files = {
        "mesh.ply": _ply(surface, photo, attributes),
        "points.ply": _ply(points, photo, attributes),
        **{f"{name}.glb": _glb(surface, colours) for name, colours in paintings.items()},
        "legend.json": strict_json(_described(legend), indent=1).encode(),
    }
    for name in _NAMES:
        (folder / name).unlink(missing_ok=True)
    save_picture(folder / "preview.png", preview(surface, list(paintings.values())))
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in (*files, "preview.png")]


def _ids(ids: Any, count: int) -> Int64[np.ndarray, "vertices"]:
    return np.full(count, NONE) if ids is None else ids.numpy()


def _painted(ids: Int64[np.ndarray, "vertices"], count: int) -> Colours:
    # The last colour is that of NONE, which is -1.
    return np.vstack([class_palette(count), np.array([IGNORE_COLOUR], dtype=np.uint8)])[ids]


def _ply(surface: Surface, colours: Colours, attributes: dict[str, np.ndarray]) -> bytes:
    return _mesh(surface, colours, vertex_attributes=attributes).export(file_type="ply")


def _glb(surface: Surface, colours: Colours) -> bytes:
    linear = np.round(255 * (colours / 255) ** _GAMMA).astype(np.uint8)
    return _mesh(surface, linear).apply_transform(_Z_UP_TO_Y_UP).export(file_type="glb")


def _mesh(surface: Surface, colours: Colours, **more: Any) -> Any:
    import trimesh  # here: of an extra, which nothing else needs

    # `process` would join vertices, and with them their labels.
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False, vertex_colors=colours, **more)


def _described(legend: Legend) -> dict[str, Any]:
    """Names and colours of all ids, for `legend.json`."""
    classes, instances = class_palette(len(legend.class_names)), class_palette(len(legend.instance_ids))
    return {
        "classes": [
            {"id": number, "name": name, "colour": classes[number].tolist()}
            for number, name in enumerate(legend.class_names)
        ],
        "instances": [
            {"id": number, "colour": instances[place].tolist()} for place, number in enumerate(legend.instance_ids)
        ],
        "none": {"id": NONE, "colour": list(IGNORE_COLOUR)},
    }
