"""All solids of a room as arrays, and the two questions asked of them: what does a ray hit, what does it cross.

Every shape is mapped onto the faces of its unit cube, so that one texture layout serves boxes, cylinders, ellipsoids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gpnerf.data.procedural.shapes import Part, Shape

Values = np.ndarray | np.floating
Coordinates = np.ndarray | Sequence[Values]

_TINY = 1e-9


@dataclass(frozen=True)
class Solids:
    """`local = to_unit @ (world - centre)` maps solid k onto the unit cube, cylinder or ball; solid 0 is the room."""

    centres: Float[np.ndarray, "solids 3"]
    halves: Float[np.ndarray, "solids 3"]
    rotations: Float[np.ndarray, "solids 3 3"]
    shapes: tuple[Shape, ...]

    @property
    def to_unit(self) -> Float[np.ndarray, "solids 3 3"]:
        return np.swapaxes(self.rotations, 1, 2) / self.halves[:, :, None]

    def corners(self) -> Float[np.ndarray, "solids 8 3"]:
        signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)
        return self.centres[:, None] + np.einsum("kij,ksj->ksi", self.rotations, signs * self.halves[:, None])


def pack(parts: Sequence[Part]) -> Solids:
    """The parts as arrays, in their order."""
    return Solids(
        np.array([p.centre for p in parts], dtype=np.float32),
        np.array([p.half for p in parts], dtype=np.float32),
        np.array([p.rotation for p in parts], dtype=np.float32),
        tuple(p.shape for p in parts),
    )


def crossing(shape: Shape, origin: Coordinates, direction: Coordinates) -> tuple[np.ndarray, np.ndarray]:
    """Ray parameters at which rays enter and leave a unit shape; a ray that misses has enter > leave.

    `origin` and `direction` are three arrays each (x, y, z), of shapes that broadcast.
    """
    if shape == Shape.BOX:
        spans = [_slab(o, d) for o, d in zip(origin, direction, strict=True)]
    elif shape == Shape.CYLINDER:
        spans = [_ball(origin[:2], direction[:2]), _slab(origin[2], direction[2])]
    else:
        spans = [_ball(origin, direction)]
    enter, leave = spans[0]
    for low, high in spans[1:]:
        enter, leave = np.maximum(enter, low), np.minimum(leave, high)
    return enter, leave


def _slab(origin: Values, direction: Values) -> tuple[np.ndarray, np.ndarray]:
    inverse = 1 / np.where(np.abs(direction) < _TINY, np.float32(_TINY), direction)
    middle, reach = -origin * inverse, np.abs(inverse)
    return middle - reach, middle + reach


def _ball(origin: Coordinates, direction: Coordinates) -> tuple[np.ndarray, np.ndarray]:
    """Crossing of the unit ball of as many dimensions as there are coordinates."""
    a = sum(d * d for d in direction) + _TINY
    b = sum(o * d for o, d in zip(origin, direction, strict=True))
    inside = b * b - a * (sum(o * o for o in origin) - 1)
    root = np.sqrt(np.maximum(inside, 0))
    return np.where(inside >= 0, (-b - root) / a, np.inf), np.where(inside >= 0, (-b + root) / a, -np.inf)


def onto_cube(
    shapes: Int[np.ndarray, "points"], local: Float[np.ndarray, "points 3"]
) -> tuple[Int[np.ndarray, "points"], Float[np.ndarray, "points 2"]]:
    """Face (axis * 2 + side) and texture coordinates in [0, 1] of points on unit shapes."""
    cube = local.copy()
    side = (shapes == Shape.CYLINDER) & (np.hypot(local[:, 0], local[:, 1]) >= np.abs(local[:, 2]))
    cube[side, :2] /= np.abs(local[side, :2]).max(1, keepdims=True)
    ball = shapes == Shape.ELLIPSOID
    cube[ball] /= np.abs(local[ball]).max(1, keepdims=True)
    size = np.abs(cube)
    size[side, 2] = 0
    axis = size.argmax(1)
    rows = np.arange(len(cube))
    face = 2 * axis + (cube[rows, axis] > 0)
    in_plane = np.stack([cube[rows, (axis + 1) % 3], cube[rows, (axis + 2) % 3]], 1)
    return face, np.clip(0.5 * in_plane + 0.5, 0, 1)


def from_cube(
    shape: Shape, face: int, uv: Float[np.ndarray, "points 2"]
) -> tuple[Float[np.ndarray, "points 3"], Float[np.ndarray, "points 3"]]:
    """The inverse of `onto_cube`: points on a unit shape and their normals in unit coordinates (not normalised)."""
    axis, sign = face // 2, 2.0 * (face % 2) - 1
    cube = np.empty((len(uv), 3), dtype=np.float32)
    cube[:, axis], cube[:, (axis + 1) % 3], cube[:, (axis + 2) % 3] = sign, 2 * uv[:, 0] - 1, 2 * uv[:, 1] - 1
    flat = np.zeros_like(cube)
    flat[:, axis] = sign
    if shape == Shape.ELLIPSOID:
        cube /= np.linalg.norm(cube, axis=1, keepdims=True)
        return cube, cube
    if shape == Shape.CYLINDER and axis < 2:
        cube[:, :2] /= np.linalg.norm(cube[:, :2], axis=1, keepdims=True)
        return cube, cube * np.array([1, 1, 0], dtype=np.float32)
    return cube, flat
