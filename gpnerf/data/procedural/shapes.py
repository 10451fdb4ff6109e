"""Parts, items and pieces: what furniture is built from, before and after it is placed in a room."""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from jaxtyping import Float

from gpnerf.data.procedural.materials import Material

Triple = tuple[float | int, float | int, float | int]


class Shape(IntEnum):
    """The solid that fills a part's extents; a cylinder stands along its local z axis."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


def _identity() -> Float[np.ndarray, "3 3"]:
    return np.eye(3)


@dataclass(frozen=True)
class Part:
    """One solid: centre and half extents in metres; `power` > 0 makes it a lamp."""

    centre: Float[np.ndarray, "3"]
    half: Float[np.ndarray, "3"]
    material: Material
    shape: Shape = Shape.BOX
    rotation: Float[np.ndarray, "3 3"] = field(default_factory=_identity)
    power: float = 0.0

    def corners(self) -> Float[np.ndarray, "8 3"]:
        signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return self.centre + (signs * self.half) @ self.rotation.T


@dataclass(frozen=True)
class Item:
    """One instance: parts that share a category."""

    category: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Piece:
    """Items that are placed together. Local axes: x along the wall, +y towards the wall behind, z up from the floor."""

    items: tuple[Item, ...]

    def bounds(self) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """The lowest and highest corner of the axis-aligned box around all parts."""
        corners = np.concatenate([part.corners() for item in self.items for part in item.parts])
        return corners.min(0), corners.max(0)

    def moved(self, yaw: float, offset: Triple | Float[np.ndarray, "3"]) -> "Piece":
        """The piece turned by `yaw` (radians, about z) and shifted by `offset` (metres)."""
        turn, shift = rotation(yaw), np.asarray(offset, dtype=float)
        return Piece(tuple(replace(i, parts=tuple(_moved(p, turn, shift) for p in i.parts)) for i in self.items))


def _moved(part: Part, turn: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, "3"]) -> Part:
    return replace(part, centre=turn @ part.centre + shift, rotation=turn @ part.rotation)


def rotation(yaw: float, tilt: float = 0.0) -> Float[np.ndarray, "3 3"]:
    """Turn by `tilt` about x, then by `yaw` about z (radians)."""
    c, s, ct, st = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return about_z @ np.array([[1.0, 0, 0], [0, ct, -st], [0, st, ct]])


def block(
    at: Triple,
    size: Triple,
    material: Material,
    shape: Shape = Shape.BOX,
    *,
    yaw: float = 0.0,
    tilt: float = 0.0,
    power: float = 0.0,
) -> Part:
    """A part given by the middle of its underside and its full size (metres)."""
    half = np.asarray(size, dtype=float) / 2
    return Part(np.array([at[0], at[1], at[2] + half[2]]), half, material, shape, rotation(yaw, tilt), power)


def legs(
    width: float, depth: float, height: float, thick: float, material: Material, *, round_: bool = False
) -> list[Part]:
    """Four legs under the corners of a `width` x `depth` rectangle centred on the origin."""
    shape = Shape.CYLINDER if round_ else Shape.BOX
    x, y = (width - thick) / 2, (depth - thick) / 2
    return [block((i * x, j * y, 0), (thick, thick, height), material, shape) for i in (-1, 1) for j in (-1, 1)]
