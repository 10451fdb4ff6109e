"""Where the surfaces of a procedural room are, from the definition of each solid: independent of its ray caster."""

import numpy as np

from gpnerf.data.procedural.shapes import Shape
from gpnerf.data.procedural.solids import Solids, onto_cube
from gpnerf.data.rooms import Room


def nearest_surface(room: Room, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Metres to the nearest surface of any solid, with the raw class id and the instance id there."""
    solids = room.solids
    distances = np.stack([np.abs(_signed_distance(solids, k, points)) for k in range(len(solids.shapes))])
    nearest = distances.argmin(axis=0)
    local = np.einsum("pij,pj->pi", solids.to_unit[nearest], points - solids.centres[nearest])
    face, _ = onto_cube(np.array(solids.shapes)[nearest], local)
    return distances.min(axis=0), room.labels[nearest, face], room.instances[nearest]


def _signed_distance(solids: Solids, k: int, points: np.ndarray) -> np.ndarray:
    """Exact for boxes; for round shapes, which may be stretched, the first order of their equation near the surface."""
    local, half = (points - solids.centres[k]) @ solids.rotations[k], solids.halves[k]
    if solids.shapes[k] == Shape.BOX:
        return _outside_and_inside(np.abs(local) - half)
    if solids.shapes[k] == Shape.CYLINDER:
        side = _first_order(local[:, :2], half[:2])
        return _outside_and_inside(np.stack([side, np.abs(local[:, 2]) - half[2]], axis=1))
    return _first_order(local, half)


def _outside_and_inside(beyond: np.ndarray) -> np.ndarray:
    """Signed distance from how far a point is beyond each pair of faces."""
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)


def _first_order(local: np.ndarray, half: np.ndarray) -> np.ndarray:
    radius, slope = np.linalg.norm(local / half, axis=1), np.linalg.norm(local / half**2, axis=1)
    return (radius - 1) * radius / np.maximum(slope, 1e-9)
