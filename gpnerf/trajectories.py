"""Smooth camera paths from a scene's poses alone: through key poses, around the scene, and into it.

Poses are camera-to-world matrices with OpenCV axes (x right, y down, z forward), in metres. Every path is walked at an
even pace, where a metre counts as much as a radian.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from gpnerf.errors import UserError

Poses = Float[np.ndarray, "frames 4 4"]
Cameras = Float[np.ndarray, "cameras 4 4"]
# Poses at times from 0 to 1, at whatever pace.
Course = Callable[[Float[np.ndarray, "times"]], Float[np.ndarray, "times 4 4"]]

_METRES_PER_RADIAN = 1.0
_SAMPLES = 4096  # places where a path's length is measured
_SAME_PLACE = 1e-6  # key poses nearer than this (metres and radians) are one
_SMALLEST_LENGTH = 1e-9
_TRUST_IN_MEAN = 0.005  # as a mean squared cosine between x axes and up
_TURNS, _INNERMOST = 2, 0.5  # of a spiral
_FEWEST = 3  # cameras that span an ellipse


def interpolate(keys: Cameras, frames: int) -> Poses:
    """A path through key poses, from the first to the last: splines of positions and of rotations.

    Raises:
        UserError: fewer than two different poses.
    """
    steps = _steps(keys)
    keys = keys[np.concatenate([[True], steps > _SAME_PLACE])]
    if len(keys) < 2:
        raise UserError(f"trajectory: expected at least 2 different key poses, found {len(keys)}; name other frames")
    times = np.concatenate([[0.0], np.cumsum(_steps(keys))])
    positions = CubicSpline(times, keys[:, :3, 3])
    rotations = RotationSpline(times, Rotation.from_matrix(keys[:, :3, :3]))
    path = _evenly(lambda t: _join(rotations(t * times[-1]).as_matrix(), positions(t * times[-1])), frames)
    path[[0, -1]] = keys[[0, -1]]  # to the last digit
    return path


def orbit(cameras: Cameras, frames: int) -> Poses:
    """Once around the scene where its cameras were, looking at its centre; the last frame leads on to the first."""
    ring = _Ring.of(cameras)
    return _evenly(lambda t: ring.poses(2 * np.pi * t, np.ones_like(t)), frames + 1)[:-1]


def spiral(cameras: Cameras, frames: int) -> Poses:
    """Around the scene and ever nearer to the middle of its cameras, half as far from it at the end."""
    ring = _Ring.of(cameras)
    return _evenly(lambda t: ring.poses(2 * np.pi * _TURNS * t, 1 + (_INNERMOST - 1) * t), frames)


def scene_centre(cameras: Cameras) -> Float[np.ndarray, "3"]:
    """The point that the cameras look at: the nearest one to all optical axes, in the sense of least squares.

    Where the axes are parallel, the nearest such point to the middle of the cameras.
    """
    middle = cameras[:, :3, 3].mean(axis=0)
    forward = cameras[:, :3, 2]
    across = np.eye(3) - forward[:, :, None] * forward[:, None]  # takes away what lies along an axis
    offsets = (across @ (cameras[:, :3, 3] - middle)[..., None])[..., 0]
    return middle + np.linalg.lstsq(across.sum(axis=0), offsets.sum(axis=0), rcond=1e-6)[0]


def scene_up(cameras: Cameras) -> Float[np.ndarray, "3"]:
    """The direction that is up for cameras held level: across all their x axes, in the sense of least squares.

    Where the cameras hardly turn, the mean of what is up for each, which is off by how far they look down.
    """
    mean = -cameras[:, :3, 1].mean(axis=0)
    mean /= max(float(np.linalg.norm(mean)), _SMALLEST_LENGTH)
    right = cameras[:, :3, 0]
    tilt = right.T @ right / len(right) + _TRUST_IN_MEAN * (np.eye(3) - np.outer(mean, mean))
    up = np.linalg.eigh(tilt)[1][:, 0]
    return up * np.copysign(1, up @ mean)


def look_at(
    positions: Float[np.ndarray, "frames 3"], centre: Float[np.ndarray, "3"], up: Float[np.ndarray, "3"]
) -> Poses:
    """Cameras at the positions that look at the centre, upright.

    Raises:
        UserError: a camera would look straight up or down, or stand in the centre.
    """
    forward = centre - positions
    right = np.cross(forward, up)
    lengths = np.linalg.norm(right, axis=1)
    if lengths.min() < _SMALLEST_LENGTH * max(1.0, float(np.linalg.norm(forward, axis=1).max())):
        raise UserError(
            f"trajectory: expected cameras beside the scene's centre {centre.round(2).tolist()}, found one on the "
            "vertical through it; take --trajectory interpolate or file"
        )
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right /= lengths[:, None]
    return _join(np.stack([right, np.cross(forward, right), forward], axis=2), positions)


@dataclass(frozen=True)
class _Ring:
    """The ellipse around which cameras stand: evenly spread on one, they have its middle, plane and half-axes."""

    middle: Float[np.ndarray, "3"]
    half_axes: Float[np.ndarray, "2 3"]
    up: Float[np.ndarray, "3"]
    centre: Float[np.ndarray, "3"]

    @classmethod
    def of(cls, cameras: Cameras) -> "_Ring":
        if len(cameras) < _FEWEST:
            raise UserError(f"trajectory: expected at least {_FEWEST} frames to go around, found {len(cameras)}")
        up = scene_up(cameras)
        positions = cameras[:, :3, 3]
        middle = positions.mean(axis=0)
        level = (positions - middle) @ (np.eye(3) - np.outer(up, up))
        _, spread, axes = np.linalg.svd(level, full_matrices=False)
        # The mean square of a cosine over a turn is a half.
        return cls(middle, axes[:2] * spread[:2, None] * np.sqrt(2 / len(cameras)), up, scene_centre(cameras))

    def poses(self, angles: Float[np.ndarray, "frames"], scale: Float[np.ndarray, "frames"]) -> Poses:
        offsets = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ self.half_axes
        return look_at(self.middle + scale[:, None] * offsets, self.centre, self.up)


def _evenly(course: Course, frames: int) -> Poses:
    """A path from its start to its end at an even pace."""
    times = np.linspace(0, 1, _SAMPLES)
    walked = np.concatenate([[0.0], np.cumsum(_steps(course(times)))])
    return course(np.interp(np.linspace(0, walked[-1], frames), walked, times))


def _steps(poses: Poses) -> Float[np.ndarray, "steps"]:
    """From each pose to the next: metres, and radians of the rotation between them."""
    rotations = Rotation.from_matrix(poses[:, :3, :3])
    turned = (rotations[:-1].inv() * rotations[1:]).magnitude()
    return np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) + _METRES_PER_RADIAN * turned


def _join(rotations: Float[np.ndarray, "frames 3 3"], positions: Float[np.ndarray, "frames 3"]) -> Poses:
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = rotations, positions
    return poses
