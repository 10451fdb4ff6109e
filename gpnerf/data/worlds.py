"""Procedural scenes without classes: what a renderer should cope with that no furnished room shows.

Random solids (thin, tilted, floating, in fields of uneven height, in gratings), any palette and texture, three kinds of
light, cameras that orbit, sweep or wander with any lens. Every label is 0 (no class), so only colour and depth teach.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpnerf.data.procedural.baking import bake
from gpnerf.data.procedural.disk import write_scannet
from gpnerf.data.procedural.path import clearance, look
from gpnerf.data.procedural.raycast import cast
from gpnerf.data.procedural.shapes import Item, Part, Shape, block, rotation
from gpnerf.data.procedural.solids import Solids, pack
from gpnerf.data.procedural.textures import any_material, lamp_material
from gpnerf.data.rooms import Room, describe_room, render_frame, write_scene

LAYOUT = "world"  # in a folder's record: ScanNet's, with a lens of its own

_SIDES = (2.6, 6.5)  # metres of the space that the solids stand in
_HEIGHTS = (2.2, 4.0)
_FIELDS_OF_VIEW = (45.0, 90.0)  # degrees, horizontal
_CLEARANCE = 0.3  # metres between the camera and anything
_TRIES = 60
_PREVIEWS = 8
_PREVIEW = (15, 20)
_PREVIEW_CAMERA = np.array([[15.0, 0, 9.5], [0, 15.0, 7.0], [0, 0, 1]])


def generate_world(seed: int) -> Room:
    """The lit world of this seed; every thing is an instance of its own, none has a class."""
    rng = np.random.default_rng([seed, 2])
    x, y, z = rng.uniform(*_SIDES), rng.uniform(*_SIDES), rng.uniform(*_HEIGHTS)
    shell = [block((0, 0, 0), (x, y, z), any_material(rng)) for _ in range(6)]
    size = np.array([x, y, z])
    things = [_thing(size, rng) for _ in range(int(rng.integers(14, 36)))]
    things += [_lamp(size, rng) for _ in range(_LAMPS[int(rng.integers(len(_LAMPS)))])]
    items = [Item("", tuple(parts)) for parts in things]
    parts = [shell[0], *(part for item in items for part in item.parts)]
    owners = np.repeat(np.arange(-1, len(items)), [1, *(len(item.parts) for item in items)])
    solids = pack(parts)
    textures = bake(solids, parts, shell, owners, items, rng)
    return Room(solids, textures, np.zeros((len(parts), 6), dtype=np.int32), (owners + 1).astype(np.int32))


def write_world(folder: Path, seed: int, frames: int, width: int, height: int) -> None:
    """Generate the world of this seed and write it to `folder` in the `scannet` layout, as `write_room` does."""
    rng = np.random.default_rng([seed, 3])
    world = generate_world(seed)
    focal = width / 2 / np.tan(np.deg2rad(rng.uniform(*_FIELDS_OF_VIEW)) / 2)
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    poses = world_path(world.solids, frames, rng)
    pictures = (render_frame(world, pose, intrinsics, height, width) for pose in poses)
    described = describe_room(seed, LAYOUT, frames, width, height)
    write_scene(folder, described, lambda place: write_scannet(place, pictures, poses, intrinsics))


def world_path(solids: Solids, frames: int, rng: np.random.Generator) -> Float[np.ndarray, "frames 4 4"]:
    """Camera-to-world matrices of an orbit, a sweep or a walk that touches nothing and sees many things.

    All paths of one world are of one kind, so that none is left out for being narrow.
    """
    kind = _PATHS[int(rng.integers(len(_PATHS)))]
    tries = [kind(solids, frames, rng) for _ in range(_TRIES)]
    tries.sort(key=lambda one: -min(clearance(solids, one[0]), _CLEARANCE))
    paths = [_facing(positions, targets, rng) for positions, targets in tries[:_PREVIEWS]]
    return max(paths, key=lambda poses: _busy(solids, poses))


def _facing(
    positions: Float[np.ndarray, "frames 3"], targets: Float[np.ndarray, "frames 3"], rng: np.random.Generator
) -> Float[np.ndarray, "frames 4 4"]:
    ahead = targets - positions
    yaw, pitch = np.arctan2(ahead[:, 1], ahead[:, 0]), np.arctan2(ahead[:, 2], np.linalg.norm(ahead[:, :2], axis=1))
    return look(positions, yaw, pitch, 0.15 * _wave(len(positions), 1, rng)[:, 0])


def _busy(solids: Solids, poses: Float[np.ndarray, "frames 4 4"]) -> float:
    """Solids in a coarse preview, on average; less when something is too close."""
    hits = [cast(solids, pose, _PREVIEW_CAMERA, *_PREVIEW) for pose in poses[:: max(len(poses) // 4, 1)]]
    near = min(float(np.percentile(hit.depth, 5)) for hit in hits)
    return float(np.mean([len(np.unique(hit.solid)) for hit in hits])) * min(near, 0.6)


def _thing(size: np.ndarray, rng: np.random.Generator) -> list[Part]:
    """One thing of a random kind at a random place, standing or floating."""
    at = rng.uniform(-0.5, 0.5, 3) * size
    at[2] = 0.0 if rng.random() < 0.6 else rng.uniform(0, 0.7) * size[2]
    return _KINDS[int(rng.integers(len(_KINDS)))](at, rng)


def _solid(at: np.ndarray, rng: np.random.Generator) -> list[Part]:
    """A box, cylinder or ball of any proportions, tilted when it floats."""
    extents = np.exp(rng.uniform(np.log(0.06), np.log(1.2), 3))
    tilt = rng.uniform(-0.8, 0.8) if at[2] > 0 else 0.0
    shape = Shape(int(rng.integers(3)))
    yaw = rng.uniform(0, np.pi)
    return [block(tuple(at), tuple(extents), any_material(rng), shape, yaw=yaw, tilt=tilt)]


def _pile(at: np.ndarray, rng: np.random.Generator) -> list[Part]:
    """Smaller and smaller solids on one another."""
    parts, width, height = [], rng.uniform(0.3, 0.8), at[2]
    for _ in range(int(rng.integers(2, 5))):
        tall = rng.uniform(0.1, 0.5)
        shape, yaw = Shape(int(rng.integers(3))), rng.uniform(0, np.pi)
        parts.append(block((at[0], at[1], height), (width, width, tall), any_material(rng), shape, yaw=yaw))
        width, height = width * rng.uniform(0.5, 0.95), height + 0.9 * tall
    return parts


def _height_field(at: np.ndarray, rng: np.random.Generator) -> list[Part]:
    """Columns of uneven height side by side, of one material."""
    material, cell, count = any_material(rng), rng.uniform(0.12, 0.3), int(rng.integers(3, 6))
    phase = rng.uniform(0, 6, 2)
    places = [(i, j) for i in range(count) for j in range(count)]
    heights = [0.1 + 0.5 * (1 + np.sin(1.3 * i + phase[0]) * np.cos(1.1 * j + phase[1])) / 2 for i, j in places]
    return [
        block((at[0] + cell * i, at[1] + cell * j, at[2]), (cell, cell, tall), material)
        for (i, j), tall in zip(places, heights, strict=True)
    ]


def _grating(at: np.ndarray, rng: np.random.Generator) -> list[Part]:
    """Thin bars with gaps that one looks through."""
    material, bars = any_material(rng), int(rng.integers(4, 9))
    gap, thick, tall = rng.uniform(0.1, 0.25), rng.uniform(0.02, 0.06), rng.uniform(0.6, 1.6)
    yaw = rng.uniform(0, np.pi)
    across = rotation(yaw) @ np.array([gap, 0, 0])
    upright = [block(tuple(at + k * across), (thick, thick, tall), material, yaw=yaw) for k in range(bars)]
    middle = at + (bars - 1) / 2 * across
    rails = [
        block((middle[0], middle[1], at[2] + share * tall), (bars * gap, thick, thick), material, yaw=yaw)
        for share in (0.1, 0.9)
    ]
    return upright + rails


def _lamp(size: np.ndarray, rng: np.random.Generator) -> list[Part]:
    at = rng.uniform(-0.4, 0.4, 3) * size
    at[2] = rng.uniform(0.6, 0.95) * size[2]
    width = rng.uniform(0.1, 0.5)
    return [block(tuple(at), (width, width, 0.06), lamp_material(rng), Shape.CYLINDER, power=rng.uniform(0.5, 3.0))]


def _orbit(solids: Solids, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Around some solid, which stays in view."""
    chosen = int(rng.integers(1, len(solids.centres)))
    centre = solids.centres[chosen] * (0.7, 0.7, 1)
    radius = rng.uniform(0.8, 2.2) + 0.15 * _wave(frames, 1, rng)[:, 0]
    angle = rng.uniform(0, 2 * np.pi) + np.linspace(0, np.deg2rad(rng.uniform(60, 200)), frames)
    height = rng.uniform(-0.3, 1.2) + 0.25 * _wave(frames, 1, rng)[:, 0]
    positions = centre + np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    return positions, centre + 0.2 * _wave(frames, 3, rng)


def _sweep(solids: Solids, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """To and fro before what lies ahead, as a hand moves a phone."""
    start, half = _somewhere(solids, rng), solids.halves[0]
    reach = rng.uniform(0.15, 0.5) * np.array([1, 1, 0.6])
    positions = start + reach * _wave(frames, 3, rng, periods=(20.0, 45.0))
    target = solids.centres[0] + rng.uniform(-0.6, 0.6, 3) * half
    return positions, target + 0.3 * _wave(frames, 3, rng)


def _walk(solids: Solids, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Straight ahead while the view turns."""
    start, end = _somewhere(solids, rng), _somewhere(solids, rng)
    length = max(float(np.linalg.norm(end - start)), 1e-3)
    step = min(length, 0.1 * frames) / length
    positions = start + np.linspace(0, step, frames)[:, None] * (end - start) + 0.05 * _wave(frames, 3, rng)
    turn = rng.uniform(0, 2 * np.pi) + rng.choice((-1, 1)) * np.linspace(0, np.deg2rad(rng.uniform(20, 130)), frames)
    ahead = np.stack([np.cos(turn), np.sin(turn), rng.uniform(-0.4, 0.1) + 0.1 * _wave(frames, 1, rng)[:, 0]], axis=1)
    return positions, positions + ahead


def _somewhere(solids: Solids, rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """A place in the world, about as high as a person holds a camera."""
    inside = solids.centres[0] + rng.uniform(-0.8, 0.8, 3) * solids.halves[0]
    inside[2] = rng.uniform(0.5, 1.8)
    return inside


def _wave(
    frames: int, axes: int, rng: np.random.Generator, periods: tuple[float, float] = (14.0, 40.0)
) -> Float[np.ndarray, "frames axes"]:
    """Slow random waves of about unit size."""
    time = np.arange(frames)[:, None, None]
    return np.sin(2 * np.pi * time / rng.uniform(*periods, (axes, 3)) + rng.uniform(0, 2 * np.pi, (axes, 3))).mean(-1)


_KINDS = (_solid, _solid, _solid, _pile, _height_field, _grating)
_LAMPS = (0, 2, 5)  # light from everywhere, from few places, from many
_PATHS = (_orbit, _sweep, _walk)
