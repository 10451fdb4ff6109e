"""Points that two pictures share, found without knowing their cameras: SIFT features, sorted out by RANSAC."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from gpnerf.data.scene import Scene

_RATIO = 0.8  # the best match must be this much closer than the second best (Lowe)
_RANSAC_PIXELS = 1.5
_RANSAC_CONFIDENCE = 0.999
_RANSAC_ROUNDS = 5000
_FEATURES = 2000  # at most: the strongest
_CONTRAST = 0.01  # below OpenCV's 0.04: rendered rooms have plain walls
# Frames that show nothing in common have matches too, and some epipolar geometry explains up to 0.4 of them.
_LEAST_SHARE = 0.5
_EIGHT = 8  # points that a fundamental matrix needs


@dataclass(frozen=True, eq=False)
class Features:
    """SIFT key points (pixels) of a picture and their descriptors."""

    points: Float[np.ndarray, "points 2"]
    descriptors: Float[np.ndarray, "points 128"]


@dataclass(frozen=True, eq=False)
class MatchedPair:
    """Two frames (places in the scene) and the pixels where they show the same points."""

    first: int
    second: int
    first_points: Float[np.ndarray, "points 2"]
    second_points: Float[np.ndarray, "points 2"]

    @property
    def motion(self) -> float:
        """How far the points move from one picture to the other: the median, in pixels."""
        return float(np.median(np.linalg.norm(self.first_points - self.second_points, axis=1)))


def features(scene: Scene, index: int) -> Features:
    """The SIFT features of one frame."""
    points, descriptors = cv2.SIFT.create(_FEATURES, contrastThreshold=_CONTRAST).detectAndCompute(
        _grey(scene, index), None
    )
    if descriptors is None:
        return Features(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    return Features(np.array([point.pt for point in points], np.float32), descriptors)


def match(first: int, second: int, of_first: Features, of_second: Features) -> MatchedPair:
    """The matches that one epipolar geometry, fitted to them alone, explains; none where that may be chance."""
    a, b = _similar(of_first, of_second)
    keep = np.zeros(len(a), bool)
    if len(a) >= _EIGHT:
        # OpenCV draws from a generator of its own with a fixed seed: the same matches every time.
        _, mask = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, _RANSAC_PIXELS, _RANSAC_CONFIDENCE, _RANSAC_ROUNDS)
        keep = keep if mask is None else mask.ravel().astype(bool)
    if len(keep) and keep.mean() < _LEAST_SHARE:
        keep[:] = False
    return MatchedPair(first, second, a[keep], b[keep])


def _similar(
    of_first: Features, of_second: Features
) -> tuple[Float[np.ndarray, "matches 2"], Float[np.ndarray, "matches 2"]]:
    """The points whose best match is clearly better than the second best."""
    if min(len(of_first.points), len(of_second.points)) < 2:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    twos = cv2.BFMatcher().knnMatch(of_first.descriptors, of_second.descriptors, k=2)
    good = [best for best, other in twos if best.distance < _RATIO * other.distance]
    return of_first.points[[one.queryIdx for one in good]], of_second.points[[one.trainIdx for one in good]]


def _grey(scene: Scene, index: int) -> UInt8[np.ndarray, "height width"]:
    picture = (scene.image(index) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
