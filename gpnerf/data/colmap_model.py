"""A COLMAP sparse model as its files hold it, in text or binary."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy.spatial.transform import Rotation

# COLMAP's camera models and how many numbers each has, by its number in binary files.
CAMERA_MODELS = (
    *(("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8)),
    *(("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12)),
    *(("RAD_TAN_THIN_PRISM_FISHEYE", 16), ("SIMPLE_DIVISION", 4), ("DIVISION", 5), ("SIMPLE_FISHEYE", 3)),
    *(("FISHEYE", 4), ("EUCM", 6), ("EQUIRECTANGULAR", 2)),
)


class ModelError(ValueError):
    """What is wrong with a file of a model, in words that follow "found"."""


@dataclass(frozen=True)
class ModelCamera:
    """A camera: the name of its model, its size (pixels), and that model's numbers in COLMAP's order."""

    model: str
    width: int
    height: int
    numbers: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ModelImage:
    """A registered image: OpenCV axes, and the numbers of the points that it sees (negative: none)."""

    name: str
    camera: int
    world_to_camera: Float[np.ndarray, "4 4"]
    seen: Int64[np.ndarray, "points"]

    @property
    def camera_to_world(self) -> Float[np.ndarray, "4 4"]:
        pose, back = np.eye(4), self.world_to_camera[:3, :3].T
        pose[:3, :3], pose[:3, 3] = back, -back @ self.world_to_camera[:3, 3]
        return pose


@dataclass(frozen=True, eq=False)
class ModelPoints:
    """Points of the scene, in the order of their numbers."""

    numbers: Int64[np.ndarray, "points"]
    places: Float[np.ndarray, "points 3"]

    @classmethod
    def of(cls, numbers: Int64[np.ndarray, "points"], places: Float[np.ndarray, "points 3"]) -> "ModelPoints":
        """The same in order."""
        order = np.argsort(numbers, kind="stable")
        return cls(numbers[order], places[order])

    def find(self, wanted: Int64[np.ndarray, "some"]) -> Float[np.ndarray, "some 3"]:
        """The places of the points of these numbers; `KeyError` names the first that is not there."""
        if not len(wanted):
            return np.empty((0, 3))
        found = np.searchsorted(self.numbers, wanted).clip(max=len(self.numbers) - 1)
        if not len(self.numbers) or (missing := self.numbers[found] != wanted).any():
            raise KeyError(int(wanted[missing][0] if len(self.numbers) else wanted[0]))
        return self.places[found]


@dataclass(frozen=True, eq=False)
class SparseModel:
    """Cameras by their numbers, registered images, and points; None without a file of them."""

    cameras: dict[int, ModelCamera]
    images: tuple[ModelImage, ...]
    points: ModelPoints | None


def world_to_camera(rotation: tuple[float, ...], shift: tuple[float, ...]) -> Float[np.ndarray, "4 4"]:
    """The matrix of a quaternion w x y z, of any length, and a translation."""
    if not np.isfinite((*rotation, *shift)).all() or not any(rotation):
        raise ModelError("a rotation of zeros, inf or NaN")
    w, x, y, z = np.array(rotation) / np.abs(rotation).max()
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
    matrix[:3, 3] = shift
    return matrix
