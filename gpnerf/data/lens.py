"""The camera of a photograph as its file has it: pinhole and distortion, and the pinhole picture without it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from jaxtyping import Float, Shaped

from gpnerf.data.files import rescale_intrinsics
from gpnerf.data.rectification import inner_rectangle

_LENSES = 64  # whose rectified intrinsics are kept: most photographs share a few


@dataclass(frozen=True)
class Lens:
    """Size of the file, focal lengths and principal point (pixels, centres at integers), and OpenCV's coefficients.

    `distortion` is k1 k2 p1 p2 [k3 [k4 k5 k6]], or with `fisheye` k1 k2 k3 k4 of the angle; none for zeros.
    """

    height: int
    width: int
    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def is_pinhole(self) -> bool:
        return not self.fisheye and not any(self.distortion)

    @cached_property
    def rectified(self) -> Float[np.ndarray, "3 3"]:
        """Intrinsics of the undistorted picture of the same size: the largest upright part without empty pixels.

        Raises:
            DistortionError: the distortion cannot be undone.
        """
        return self.matrix if self.is_pinhole else _rectified(self)

    def undistort(self, image: Shaped[np.ndarray, "rows cols ..."], interpolation: int) -> Shaped[np.ndarray, "..."]:
        """The picture that a camera with the intrinsics `rectified` would have taken, also of a map of another size."""
        height, width = image.shape[:2]
        scale = (width / self.width, height / self.height)
        distorted, straight = (rescale_intrinsics(matrix, scale) for matrix in (self.matrix, self.rectified))
        make = cv2.fisheye.initUndistortRectifyMap if self.fisheye else cv2.initUndistortRectifyMap
        maps = make(distorted, self._coefficients, np.eye(3), straight, (width, height), cv2.CV_32FC1)
        # A map of more pixels has centres further out than those of the photograph, by less than one of its pixels.
        return cv2.remap(image, *maps, interpolation, borderMode=cv2.BORDER_REPLICATE)

    def distort(
        self, rays: Float[np.ndarray, "rays 2"]
    ) -> tuple[Float[np.ndarray, "rays 2"], Float[np.ndarray, "rays 2 2"]]:
        """Where rays (x, y, 1) meet the picture, in focal lengths from the principal point, and the derivative."""
        points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)[:, None]
        project = cv2.fisheye.projectPoints if self.fisheye else cv2.projectPoints
        seen, slopes = project(points, np.zeros(3), np.zeros(3), np.eye(3), self._coefficients)
        # To shift the points is to turn the rays: their columns follow those of rotation, or of all else.
        first = 11 if self.fisheye else 3
        return seen.reshape(-1, 2), slopes.reshape(len(rays), 2, -1)[:, :, first : first + 2]

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """Intrinsics of the distorted picture."""
        (fx, fy), (cx, cy) = self.focal, self.centre
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    @property
    def _coefficients(self) -> Float[np.ndarray, "numbers"]:
        return np.array(self.distortion or (0.0,) * 4)


@lru_cache(_LENSES)
def _rectified(lens: Lens) -> Float[np.ndarray, "3 3"]:
    (fx, fy), (cx, cy) = lens.focal, lens.centre
    last = (lens.width - 1, lens.height - 1)
    low, high = (-cx / fx, -cy / fy), ((last[0] - cx) / fx, (last[1] - cy) / fy)
    (left, top), (right, bottom) = inner_rectangle(lens.distort, low, high)
    across, down = last[0] / (right - left), last[1] / (bottom - top)
    return np.array([[across, 0.0, -left * across], [0.0, down, -top * down], [0.0, 0.0, 1.0]])
