"""A picture of a surface from above, into the room: what faces away from the eye, as the near walls do, is left out."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from gpnerf.fusion.surface import Surface

_SIZE = 400  # pixels of a side
_OVERSAMPLED = 2  # so many times finer, then averaged
_EDGE = 0.03  # share of the picture that stays free at each side
_AZIMUTH, _ELEVATION = np.deg2rad(35), np.deg2rad(50)
_AMBIENT = 0.55  # share of the light that reaches a surface seen edge-on
_BACKGROUND = 255
_FRACTION = 4  # binary digits of a pixel position that OpenCV keeps


def preview(
    surface: Surface, colourings: Sequence[UInt8[np.ndarray, "vertices 3"]]
) -> UInt8[np.ndarray, "height width 3"]:
    """The surface in parallel projection, seen from 50 degrees above the horizon, once in each colouring, side by side.

    Triangles are painted from the farthest to the nearest; the scene's z axis points up.
    """
    side = _OVERSAMPLED * _SIZE
    seen = (surface.vertices - surface.vertices.mean(axis=0)) @ _axes().T
    corners = _fitted(seen[:, :2], side)[surface.faces]
    normals = _unit_normals(seen[surface.faces])
    order = np.argsort(-seen[surface.faces, 2].mean(axis=1))
    order = order[normals[order, 2] < 0]
    light = _AMBIENT + (1 - _AMBIENT) * -normals[:, 2:]
    shown = [(light * colours[surface.faces].mean(axis=1)).astype(np.uint8) for colours in colourings]
    pictures = [_painted(corners[order], colours[order], side) for colours in shown]
    return np.hstack([cv2.resize(picture, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA) for picture in pictures])


def _axes() -> Float[np.ndarray, "3 3"]:
    """Rows: the eye's right, down and forward in the scene's axes."""
    across, down = np.cos(_ELEVATION), -np.sin(_ELEVATION)
    forward = np.array([across * np.cos(_AZIMUTH), across * np.sin(_AZIMUTH), down])
    right = np.array([np.sin(_AZIMUTH), -np.cos(_AZIMUTH), 0])
    return np.stack([right, np.cross(forward, right), forward])


def _fitted(plane: Float[np.ndarray, "vertices 2"], side: int) -> Float[np.ndarray, "vertices 2"]:
    """Positions moved and scaled, evenly, into the middle of a square picture."""
    low, high = plane.min(axis=0), plane.max(axis=0)
    scale = (1 - 2 * _EDGE) * side / (high - low).max()
    return (plane - (low + high) / 2) * scale + side / 2


def _unit_normals(corners: Float[np.ndarray, "faces 3 3"]) -> Float[np.ndarray, "faces 3"]:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _painted(
    corners: Float[np.ndarray, "faces 3 2"], colours: UInt8[np.ndarray, "faces 3"], side: int
) -> UInt8[np.ndarray, "side side 3"]:
    picture = np.full((side, side, 3), _BACKGROUND, dtype=np.uint8)
    fixed = np.round(corners * 2**_FRACTION).astype(np.int32)
    for triangle, colour in zip(fixed, colours.tolist(), strict=True):
        cv2.fillConvexPoly(picture, triangle, colour, shift=_FRACTION)
    return picture
