"""Light on the surfaces of a room: ambient light with occlusion, and lamps and windows that cast soft shadows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gpnerf.data.procedural.shapes import Item, Part, Shape
from gpnerf.data.procedural.solids import Solids, crossing

Points = Float[np.ndarray, "3 points"]

_AMBIENT = 0.5
_REACH = 1.2  # metres within which a surface shades its neighbours from ambient light
_LEAST_OPEN = 0.3  # light that bounces into the deepest corner
_LIFT = 0.004
_DIRECTIONS = 26


@dataclass(frozen=True)
class Occluders:
    """What casts shadows: solids grouped by item, solid 0 being the room."""

    solids: Solids
    groups: tuple[Int[np.ndarray, "_"], ...]
    items: tuple[int, ...]


def occluders(solids: Solids, owners: Int[np.ndarray, "solids"], items: Sequence[Item]) -> Occluders:
    """All items but those that shine themselves; `owners` names the item of every solid (-1: the room)."""
    dark = [k for k, item in enumerate(items) if all(part.power == 0 for part in item.parts)]
    return Occluders(solids, tuple(np.flatnonzero(owners == k) for k in dark), tuple(dark))


def illuminate(
    scene: Occluders, lamps: Sequence[Part], points: Points, normals: Points, owner: Int[np.ndarray, "points"]
) -> Float[np.ndarray, "points 3"]:
    """Light (RGB, relative) that falls on surface points; `owner` is the item each point belongs to."""
    start = points + _LIFT * normals
    light = np.repeat(_AMBIENT * _openness(scene, start, normals, owner)[:, None], 3, axis=1)
    for lamp in lamps:
        tint = np.array(lamp.material.colour, dtype=np.float32)
        tint /= tint.mean()
        light += lamp.power * _shine(scene, lamp, start, normals, owner)[:, None] * tint
    return light


def _openness(scene: Occluders, start: Points, normals: Points, owner: np.ndarray) -> Float[np.ndarray, "points"]:
    """Cosine-weighted share of directions free of surfaces within `_REACH`."""
    open_, total = np.zeros(start.shape[1], np.float32), np.full(start.shape[1], 1e-6, np.float32)
    to_room = scene.solids.to_unit[0]
    middle = to_room @ scene.solids.centres[0][:, None]
    for direction in _sphere(_DIRECTIONS):
        cosine = direction @ normals
        up = np.flatnonzero(cosine > 0.1)
        step = np.repeat(_REACH * direction[:, None], len(up), axis=1)
        free = ~blocked(scene, start[:, up], step, owner[up])
        _, wall = crossing(Shape.BOX, to_room @ start[:, up] - middle, to_room @ step)
        free = free * np.clip(wall, 0, 1)
        open_[up] += cosine[up] * free
        total[up] += cosine[up]
    return _LEAST_OPEN + (1 - _LEAST_OPEN) * open_ / total


def _shine(
    scene: Occluders, lamp: Part, start: Points, normals: Points, owner: np.ndarray
) -> Float[np.ndarray, "points"]:
    """Light of one lamp: the mean over four points of it of cosine / distance squared, where nothing is between."""
    total = np.zeros(start.shape[1], np.float32)
    spread = 0.7 * np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
    for source in lamp.centre + (spread * lamp.half) @ lamp.rotation.T:
        step = source[:, None].astype(np.float32) - start
        squared = (step * step).sum(0)
        cosine = (step * normals).sum(0) / np.sqrt(squared + 1e-6)
        lit = np.flatnonzero(cosine > 0)
        lit = lit[~blocked(scene, start[:, lit], step[:, lit], owner[lit])]
        total[lit] += cosine[lit] / (squared[lit] + 0.3)
    return total / len(spread)


def blocked(
    scene: Occluders, start: Points, step: Points, owner: Int[np.ndarray, "points"]
) -> Bool[np.ndarray, "points"]:
    """Whether something lies on the segments `start` .. `start + step`.

    A point inside another item is in its shadow; inside its own item it is not, which keeps joints of parts light.
    """
    hit = np.zeros(start.shape[1], dtype=bool)
    all_corners = scene.solids.corners()
    for members, item in zip(scene.groups, scene.items, strict=True):
        corners = all_corners[members].reshape(-1, 3)
        low, high = corners.min(0), corners.max(0)
        middle, half = ((low + high) / 2)[:, None], ((high - low) / 2 + 1e-3)[:, None]
        near = ~hit
        for axis in range(3):
            first, last = start[axis] - middle[axis], start[axis] + step[axis] - middle[axis]
            near &= (np.minimum(first, last) < half[axis]) & (np.maximum(first, last) > -half[axis])
        rays = np.flatnonzero(near)
        if len(rays):
            hit[rays] = _crossed(scene.solids, members, start[:, rays], step[:, rays], owner[rays] == item)
    return hit


def _crossed(
    solids: Solids, members: np.ndarray, start: Points, step: Points, own: Bool[np.ndarray, "points"]
) -> Bool[np.ndarray, "points"]:
    hit = np.zeros(start.shape[1], dtype=bool)
    for k in members:
        to_unit = solids.rotations[k].T / solids.halves[k][:, None]
        origin, direction = to_unit @ (start - solids.centres[k][:, None]), to_unit @ step
        enter, leave = crossing(solids.shapes[k], origin, direction)
        hit |= (enter < leave) & (leave > 1e-3) & (enter < 1 - 1e-3) & ((enter > 1e-3) | ~own)
    return hit


def _sphere(count: int) -> Float[np.ndarray, "count 3"]:
    """Evenly spread unit vectors (a Fibonacci spiral)."""
    k = np.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], 1).astype(np.float32)
