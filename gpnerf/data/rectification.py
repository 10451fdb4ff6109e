"""The upright pinhole picture that a distorted photograph fills: its borders, followed from the centre outwards."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

# From rays (x, y, 1) to points on the picture at focal length 1, and the derivative of these.
Distortion = Callable[[Float[np.ndarray, "rays 2"]], tuple[Float[np.ndarray, "rays 2"], Float[np.ndarray, "rays 2 2"]]]
Rectangle = tuple[tuple[float, float], tuple[float, float]]

_STEPS = 16
_NEWTON = 8
_EXACT = 1e-8
_WIDEST = 2.75  # tan 70 degrees: a pinhole picture that is wider is little else than stretched borders
_ALONG = 33  # points of a border
_LEAST_SHARE = 0.5


class DistortionError(ValueError):
    """A distortion that cannot be undone, and why, in words that follow "found <numbers>, "."""


@np.errstate(all="ignore")  # numbers beyond all bounds end as rays that are none
def inner_rectangle(distort: Distortion, low: tuple[float, float], high: tuple[float, float]) -> Rectangle:
    """The largest rectangle ((left, top), (right, bottom)) of rays which the picture from `low` to `high` fills.

    Raises:
        DistortionError: the picture is folded over itself, or most of it would be lost.
    """
    (left, top), (right, bottom) = low, high
    rays = _undistorted(distort, _borders(left, top, right, bottom))
    west, north, east, south = rays.reshape(4, _ALONG, 2)
    # Every border lies outside what is taken, wherever it bends.
    x = max(west[:, 0].max(), -_WIDEST), min(east[:, 0].min(), _WIDEST)
    y = max(north[:, 1].max(), -_WIDEST), min(south[:, 1].min(), _WIDEST)
    if not (x[0] < x[1] and y[0] < y[1]):
        raise DistortionError("which leaves no upright picture")
    seen, _ = distort(_borders(x[0], y[0], x[1], y[1]))
    share = np.divide(_area(seen), (right - left) * (bottom - top))
    if not share >= _LEAST_SHARE:
        raise DistortionError(f"which leaves no more than {share:.0%} of the photograph in a pinhole picture")
    return (float(x[0]), float(y[0])), (float(x[1]), float(y[1]))


def _borders(left: float, top: float, right: float, bottom: float) -> Float[np.ndarray, "points 2"]:
    """Points along the left, upper, right and lower border."""
    ends = [((left, top), (left, bottom)), ((left, top), (right, top))]
    ends += [((right, top), (right, bottom)), ((left, bottom), (right, bottom))]
    return np.concatenate([np.linspace(start, stop, _ALONG) for start, stop in ends])


def _area(borders: Float[np.ndarray, "points 2"]) -> float:
    west, north, east, south = borders.reshape(4, _ALONG, 2)
    x, y = np.concatenate([north, east, south[::-1], west[::-1]]).T
    return float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)


def _undistorted(distort: Distortion, points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
    """The rays of points of the picture, each followed from the centre outwards; where too wide, no further.

    Newton's method in small steps finds the ray that belongs to a point and not one from behind a fold.
    """
    rays = np.zeros_like(points)
    whole = True
    for share in np.linspace(0, 1, _STEPS + 1)[1:]:
        inside = np.abs(rays).max(axis=1) < _WIDEST
        if inside.any():
            rays[inside], found = _solved(distort, rays[inside], share * points[inside])
            whole &= found
    within = np.linspace(0, 1, 2 * _STEPS + 1)[1:, None, None] * rays
    if not (whole and (np.linalg.det(distort(within.reshape(-1, 2))[1]) > 0).all()):
        raise DistortionError("which folds the picture over itself inside its borders")
    return rays


def _solved(
    distort: Distortion, rays: Float[np.ndarray, "rays 2"], points: Float[np.ndarray, "rays 2"]
) -> tuple[Float[np.ndarray, "rays 2"], bool]:
    """The rays of some points from rays close by, and whether there are any."""
    for _ in range(_NEWTON):
        seen, slope = distort(rays)
        error = points - seen
        if np.abs(error).max() < _EXACT:
            return rays, True
        (a, b), (c, d) = slope[:, 0].T, slope[:, 1].T
        step = np.stack([d * error[:, 0] - b * error[:, 1], a * error[:, 1] - c * error[:, 0]], axis=-1)
        rays = rays + step / (a * d - b * c)[:, None]
    return rays, False
