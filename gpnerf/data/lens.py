"""The camera of a photograph as its file has it: pinhole and distortion, and the pinhole picture without it."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float, Shaped

from gpnerf.data.files import rescale_intrinsics


@dataclass(frozen=True)
class Lens:
    """Size of the file, focal lengths and principal point (pixels, centres at integers), and OpenCV's distortion
    coefficients k1 k2 p1 p2 [k3]; none, or zeros, for a pinhole."""

    height: int
    width: int
    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def is_pinhole(self) -> bool:
        return not any(self.distortion)

    @cached_property
    def rectified(self) -> Float[np.ndarray, "3 3"]:
        """Intrinsics of the undistorted picture of the same size: the largest part of it without empty pixels."""
        if self.is_pinhole:
            return self.matrix
        free_of_borders = 0.0
        size = (self.width, self.height)
        return cv2.getOptimalNewCameraMatrix(self.matrix, np.array(self.distortion), size, free_of_borders, size)[0]

    def undistort(self, image: Shaped[np.ndarray, "rows cols ..."], interpolation: int) -> Shaped[np.ndarray, "..."]:
        """The picture that a camera with the intrinsics `rectified` would have taken, also of a map of another size."""
        height, width = image.shape[:2]
        scale = (width / self.width, height / self.height)
        distorted, straight = (rescale_intrinsics(matrix, scale) for matrix in (self.matrix, self.rectified))
        maps = cv2.initUndistortRectifyMap(
            distorted, np.array(self.distortion), None, straight, (width, height), cv2.CV_32FC1
        )
        # OpenCV finds that largest part from a few points: the outermost pixels may lie a tenth of a pixel outside.
        return cv2.remap(image, *maps, interpolation, borderMode=cv2.BORDER_REPLICATE)

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """Intrinsics of the distorted picture."""
        (fx, fy), (cx, cy) = self.focal, self.centre
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
