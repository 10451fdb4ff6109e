"""Casts one ray per pixel into the solids of a room."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gpnerf.data.procedural.solids import Solids, crossing, onto_cube

_NEAREST = 0.02


@dataclass(frozen=True)
class Hits:
    """Per pixel: depth along the camera axis (metres), solid, cube face and texture coordinates on it."""

    depth: Float[np.ndarray, "height width"]
    solid: Int[np.ndarray, "height width"]
    face: Int[np.ndarray, "height width"]
    uv: Float[np.ndarray, "height width 2"]


def cast(
    solids: Solids,
    cam_to_world: Float[np.ndarray, "4 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    height: int,
    width: int,
) -> Hits:
    """First surface behind every pixel centre (at integers; OpenCV axes); the room itself is seen from inside."""
    turn, eye = cam_to_world[:3, :3], cam_to_world[:3, 3]
    origins = np.einsum("kij,kj->ki", solids.to_unit, eye - solids.centres).astype(np.float32)
    # Unit-space direction of pixel (u, v) of solid k: rays[k] @ (u, v, 1); its ray parameter is the depth.
    rays = (solids.to_unit @ (turn @ np.linalg.inv(intrinsics))).astype(np.float32)
    u, v = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    depth = crossing(solids.shapes[0], origins[0], _directions(rays[0], u, v))[1]
    owner = np.zeros((height, width), dtype=np.int32)
    for k, (rows, columns) in _visible(solids, cam_to_world, intrinsics, height, width):
        enter, leave = crossing(solids.shapes[k], origins[k], _directions(rays[k], u[columns], v[rows]))
        window = depth[rows, columns]
        closer = (enter <= leave) & (enter > _NEAREST) & (enter < window)
        np.copyto(window, enter, where=closer)
        owner[rows, columns][closer] = k
    index = owner.ravel()
    pixels = np.stack(np.broadcast_arrays(u, v, np.float32(1)), -1).reshape(-1, 3)
    local = origins[index] + depth.reshape(-1, 1) * np.einsum("pij,pj->pi", rays[index], pixels)
    face, uv = onto_cube(np.array(solids.shapes)[index], local)
    return Hits(depth, owner, face.reshape(height, width), uv.reshape(height, width, 2))


def _directions(ray: Float[np.ndarray, "3 3"], u: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    return [row[0] * u + (row[1] * v + row[2]) for row in ray]


def _visible(
    solids: Solids, cam_to_world: np.ndarray, intrinsics: np.ndarray, height: int, width: int
) -> list[tuple[int, tuple[slice, slice]]]:
    """Solids (but the room) that can be in the picture, near ones first, with the (rows, columns) that bound each."""
    cam = (solids.corners() - cam_to_world[:3, 3]) @ cam_to_world[:3, :3]
    z = cam[..., 2]
    pixel = cam @ intrinsics.T
    pixel = pixel[..., :2] / np.maximum(z, _NEAREST)[..., None]
    low, high = np.floor(pixel.min(1)), np.ceil(pixel.max(1)) + 1
    # A solid that reaches behind the camera has no such rectangle: test every pixel.
    behind = z.min(1) < _NEAREST
    low[behind], high[behind] = 0, (width, height)
    low, high = np.clip(low, 0, (width, height)).astype(int), np.clip(high, 0, (width, height)).astype(int)
    seen = (z.max(1) > _NEAREST) & (low < high).all(1)
    seen[0] = False
    order = np.flatnonzero(seen)[np.argsort(z[seen].min(1), kind="stable")]
    return [(int(k), (slice(low[k, 1], high[k, 1]), slice(low[k, 0], high[k, 0]))) for k in order]
