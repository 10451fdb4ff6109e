"""Where a visitor looks from, as a browser tells it, and the camera that sees it at some size."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from gpnerf.structures import Cameras

_ASPECTS = (1 / 4, 4.0)  # a window of another shape sees a squeezed picture; it would ask for millions of pixels
_ANGLES = (math.radians(1), math.radians(170))
_SMALLEST_SIDE = 32  # pixels; the smallest maps of the head need it


@dataclass(frozen=True, eq=False)
class Look:
    """A camera-to-world pose with OpenCV axes (metres), the vertical angle of view (radians) and width / height."""

    cam_to_world: Float[np.ndarray, "4 4"]
    angle: float
    aspect: float

    @classmethod
    def of(
        cls, quaternion: Float[np.ndarray, "4"], position: Float[np.ndarray, "3"], angle: float, aspect: float
    ) -> "Look":
        """From a rotation as a quaternion (w, x, y, z); angle and shape are brought within bounds.

        Raises:
            ValueError: no camera has these numbers.
        """
        if not (np.isfinite([*quaternion, *position, angle, aspect]).all() and np.any(quaternion) and aspect > 0):
            raise ValueError("expected finite numbers and a rotation")
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_quat(np.roll(quaternion, -1)).as_matrix()  # SciPy puts w last
        pose[:3, 3] = position
        return cls(pose, float(np.clip(angle, *_ANGLES)), float(np.clip(aspect, *_ASPECTS)))

    @property
    def quaternion(self) -> Float[np.ndarray, "4"]:
        """The rotation as (w, x, y, z)."""
        return np.roll(Rotation.from_matrix(self.cam_to_world[:3, :3]).as_quat(), 1)

    def camera(self, height: int) -> Cameras:
        """The camera of a picture of about this many rows, but at least 32 pixels a side."""
        height = max(height, math.ceil(_SMALLEST_SIDE / min(1.0, self.aspect)))
        width = round(self.aspect * height)
        focal = height / 2 / math.tan(self.angle / 2)
        intrinsics = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return Cameras(intrinsics, torch.from_numpy(self.cam_to_world), height, width)


def look_of(camera: Cameras, frame: int) -> Look:
    """How one of a scene's cameras looks; a principal point beside the middle is left out."""
    pose, focal = camera.cam_to_world[frame].double().numpy(), camera.intrinsics[frame, [0, 1], [0, 1]].tolist()
    return Look(pose, 2 * math.atan(camera.height / 2 / focal[1]), camera.width * focal[1] / (camera.height * focal[0]))
