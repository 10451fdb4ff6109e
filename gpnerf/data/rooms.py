"""Procedural indoor scenes on disk: exact depth, class and instance of every pixel, seeded and view-consistent."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from gpnerf.data.procedural.baking import Textures, bake
from gpnerf.data.procedural.categories import categories
from gpnerf.data.procedural.disk import Frame, camera_intrinsics, write_replica, write_scannet
from gpnerf.data.procedural.kinds import KINDS, furnish
from gpnerf.data.procedural.palette import Palette
from gpnerf.data.procedural.path import camera_path
from gpnerf.data.procedural.raycast import cast
from gpnerf.data.procedural.shapes import block
from gpnerf.data.procedural.solids import Solids, pack
from gpnerf.errors import UserError
from gpnerf.ownership import made_whole
from gpnerf.storage import read_json, write_whole

_RECORD = "room.json"
_BUILDING = {"wall", "floor", "ceiling"}


@dataclass(frozen=True)
class Room:
    """A furnished, lit room: raw category ids per face, instance ids (0 for the building, then 1, 2, ...)."""

    solids: Solids
    textures: Textures
    labels: Int[np.ndarray, "solids 6"]
    instances: Int[np.ndarray, "solids"]


def generate_room(seed: int) -> Room:
    """Furnish and light the room of this seed; six seeds in a row give one room of each kind."""
    rng = np.random.default_rng(seed)
    palette, kind = Palette(rng), KINDS[seed % len(KINDS)]
    wall = palette.draw("tiles" if kind == "bathroom" or (kind == "kitchen" and rng.random() < 0.4) else "paint")
    floor = palette.draw("tiles" if kind in ("bathroom", "kitchen") else str(rng.choice(("planks", "carpet", "tiles"))))
    plan = furnish(kind, wall, palette)
    x, y, z = (float(s) for s in plan.size)
    shell = [block((0, 0, 0), (x, y, z), m) for m in (wall, wall, wall, wall, floor, palette.draw("ceramic"))]
    parts = [shell[0], *(part for item in plan.items for part in item.parts)]
    owners = np.repeat(np.arange(-1, len(plan.items)), [1, *(len(item.parts) for item in plan.items)])
    solids = pack(parts)
    names = categories()
    labels = np.array([[names[plan.items[k].category].raw_id] * 6 for k in owners], dtype=np.int32)
    labels[0] = [names[name].raw_id for name in ("wall",) * 4 + ("floor", "ceiling")]
    furniture = np.array([False] + [item.category not in _BUILDING for item in plan.items])
    instances = (np.cumsum(furniture) * furniture)[owners + 1].astype(np.int32)
    textures = bake(solids, parts, shell, owners, plan.items, rng)
    return Room(solids, textures, labels, instances)


def render_frame(
    room: Room,
    cam_to_world: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    height: int,
    width: int,
) -> Frame:
    """Picture of a room; every value belongs to the ray through the pixel centre (at integers)."""
    hits = cast(room.solids, cam_to_world, intrinsics, height, width)
    solid, face = hits.solid.ravel(), hits.face.ravel()
    colour = room.textures.sample(solid, face, hits.uv.reshape(-1, 2)).reshape(height, width, 3)
    return Frame(
        (255 * colour + 0.5).astype(np.uint8),
        hits.depth.astype(np.float32),
        room.labels[solid, face].reshape(height, width),
        room.instances[solid].reshape(height, width),
    )


def room_path(
    room: Room, seed: int, frames: int, intrinsics: Float[np.ndarray, "3 3"], height: int, width: int
) -> Float[np.ndarray, "frames 4 4"]:
    """Camera-to-world matrices of a hand-held walk through the room that shows its furniture."""
    typical = [category.raw_id for category in categories().values() if category.typical]
    worth_seeing = np.where(np.isin(room.labels[:, 0], typical), room.labels[:, 0], 0)
    rng = np.random.default_rng([seed, 1])
    return camera_path(room.solids, worth_seeing, frames, intrinsics, (height, width), rng)


def write_room(folder: Path, seed: int, layout: str, frames: int, width: int, height: int) -> None:
    """Generate the room of this seed and write it to `folder` in the `scannet` or `replica` layout.

    The folder appears when it is complete; a half-written one of an earlier run is replaced, a complete one refused.
    """
    if folder.exists():
        raise UserError(f"{folder}: expected a folder that is not there yet, found one; remove it to make it anew")
    described = _described(seed, layout, frames, width, height)
    intrinsics = camera_intrinsics(layout, width, height)
    room = generate_room(seed)
    poses = room_path(room, seed, frames, intrinsics, height, width)
    pictures = (render_frame(room, pose, intrinsics, height, width) for pose in poses)
    with made_whole(folder) as partial:
        if layout == "scannet":
            write_scannet(partial, pictures, poses, intrinsics)
        else:
            write_replica(partial, pictures, poses)
        write_whole(partial / _RECORD, json.dumps(described, indent=1) + "\n")


def require_same_room(folder: Path, seed: int, layout: str, frames: int, width: int, height: int) -> None:
    """Raise `UserError` if the room that is there already says that it was written with another seed, layout, number
    of frames or size; rooms of earlier versions say nothing.
    """
    path = folder / _RECORD
    if not path.is_file():
        return
    remedy = "remove the folder to have it written anew, or choose another --out"
    found = read_json(path, "the description of a room", remedy)
    if found != (expected := _described(seed, layout, frames, width, height)):
        raise UserError(f"{folder}: expected a room of {expected}, found one of {found}; {remedy}")


def _described(seed: int, layout: str, frames: int, width: int, height: int) -> dict[str, object]:
    return {"seed": seed, "layout": layout, "frames": frames, "width": width, "height": height}
