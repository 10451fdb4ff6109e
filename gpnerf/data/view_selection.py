"""Which frames a view is rendered from: two distances between poses and the rules that draw sources by them.

Everything here works on indices into an array of camera-to-world poses.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

# Factors that widen the pool from which training (and the released evaluation) draws its sources.
_POOL_FACTORS = (1, 2, 3, 4, 5)
_POOL_CHANCES = (0.30, 0.25, 0.20, 0.20, 0.05)
_METRES_PER_RADIAN = 1.0
_SMALLEST_NORM = 1e-12


def pose_distances(poses: Float[np.ndarray, "frames 4 4"], target: int) -> Float[np.ndarray, "frames"]:
    """How far each frame is from the frame `target`, as `distances_to_pose` says it."""
    return distances_to_pose(poses, poses[target])


def distances_to_pose(
    poses: Float[np.ndarray, "frames 4 4"], pose: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "frames"]:
    """Metres between camera centres plus 1.0 m times the angle (radians) between optical axes."""
    shift = np.linalg.norm(poses[:, :3, 3] - pose[:3, 3], axis=1)
    return shift + _METRES_PER_RADIAN * _angles(poses[:, :3, 2], pose[:3, 2])


def nearest_to_pose(
    poses: Float[np.ndarray, "frames 4 4"], pose: Float[np.ndarray, "4 4"], count: int
) -> Int[np.ndarray, "chosen"]:
    """The `count` frames nearest to a free camera, nearest first; all of them if there are fewer."""
    return nearest(distances_to_pose(poses, pose), np.ones(len(poses), dtype=bool), count)


def released_distances(poses: Float[np.ndarray, "frames 4 4"], target: int) -> Float[np.ndarray, "frames"]:
    """The released program's: the angle (radians) between camera centres as seen from the world origin."""
    return _angles(poses[:, :3, 3], poses[target, :3, 3])


def nearest(
    distances: Float[np.ndarray, "frames"], allowed: Bool[np.ndarray, "frames"], count: int
) -> Int[np.ndarray, "chosen"]:
    """The `count` allowed frames of smallest distance, nearest first, ties by index; all of them if there are fewer."""
    order = np.argsort(distances, kind="stable")
    return order[allowed[order]][:count]


def draw_from_pool(
    distances: Float[np.ndarray, "frames"],
    allowed: Bool[np.ndarray, "frames"],
    count: int,
    rng: np.random.Generator | np.random.RandomState,
) -> Int[np.ndarray, "count"]:
    """`count` frames without replacement from the count * f nearest, f in 1..5 drawn with falling chances.

    With `np.random.RandomState(k)` for the k-th target this is the released evaluation's choice to the number; its
    further draw, which could put the target among its own sources (p = 0.005, never for the ten targets), is left out.
    """
    factor = int(rng.choice(_POOL_FACTORS, p=_POOL_CHANCES))
    return rng.choice(nearest(distances, allowed, count * factor), count, replace=False)


def _angles(vectors: Float[np.ndarray, "frames 3"], direction: Float[np.ndarray, "3"]) -> Float[np.ndarray, "frames"]:
    unit, towards = (
        x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), _SMALLEST_NORM) for x in (vectors, direction)
    )
    return np.arccos(np.clip(unit @ towards, -1.0, 1.0))
