"""The usual mistakes in cameras, each with what undoes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gpnerf.data.files import rescale_intrinsics
from gpnerf.data.scene import Scene

# From OpenGL's axes (x right, y up, z backward) to OpenCV's (x right, y down, z forward), and back.
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
# Two factors this close are one and the same correction.
_SAME_FACTOR = 0.1


@dataclass(frozen=True)
class Correction:
    """A mistake that may have been made (empty for none), what to do about it, and the cameras without it."""

    mistake: str
    remedy: str
    poses: Callable[[Float[np.ndarray, "frames 4 4"]], Float[np.ndarray, "frames 4 4"]]
    scale: tuple[float, float]

    def applied(self, scene: Scene) -> Scene:
        """The scene with cameras as they would be without the mistake."""
        matrices = np.broadcast_to(scene.intrinsics, (len(scene), 3, 3))
        return replace(
            scene,
            cam_to_world=self.poses(scene.cam_to_world),
            intrinsics=np.stack([rescale_intrinsics(matrix, self.scale) for matrix in matrices]),
        )


# Mistake, remedy and correction of poses.
_POSES: tuple[tuple[str, str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("", "", lambda poses: poses),
    ("poses are world-to-camera, not camera-to-world", "invert them", np.linalg.inv),
    (
        "poses have OpenGL axes (y up, z backward), not OpenCV axes (y down, z forward)",
        "negate their second and third column",
        lambda poses: poses @ _OPENGL,
    ),
    (
        "poses are world-to-camera with OpenGL axes, not camera-to-world with OpenCV axes",
        "invert them, then negate their second and third column",
        lambda poses: np.linalg.inv(poses) @ _OPENGL,
    ),
)


def corrections(colour_size: tuple[int, int], depth_size: tuple[int, int] | None) -> list[Correction]:
    """Every mistake in poses with every mistake in intrinsics; the first is none at all.

    Sizes are (height, width) of the files, to try whether the intrinsics belong to the depth files.
    """
    return [
        Correction(" and ".join(filter(None, (of_poses, of_scale))), _remedy(how, scale), undo, scale)
        for of_poses, how, undo in _POSES
        for of_scale, scale in _scales(colour_size, depth_size).items()
    ]


def unit_correction(depth_factor: float) -> Correction | None:
    """Depth and poses in different units, if depth must be multiplied by more or less than 1 to fit."""
    if abs(depth_factor - 1) < _SAME_FACTOR:
        return None
    shrink = np.array([[1.0, 1.0, 1.0, 1 / depth_factor]] * 3 + [[1.0] * 4])
    remedy = f"multiply depth by {depth_factor:.4g}, or the shifts of the poses by {1 / depth_factor:.4g}"
    return Correction("depth and poses have different units", remedy, lambda poses: poses * shrink, (1.0, 1.0))


def _scales(colour_size: tuple[int, int], depth_size: tuple[int, int] | None) -> dict[str, tuple[float, float]]:
    """By mistake, what intrinsics must be multiplied with (x, y)."""
    tried = {"": (1.0, 1.0)}
    if depth_size is not None:
        down, across = (colour / depth for colour, depth in zip(colour_size, depth_size, strict=True))
        tried[f"intrinsics are those of the {depth_size[1]}x{depth_size[0]} depth files"] = (across, down)
        tried["intrinsics are enlarged from depth size to colour size though they had colour size"] = (
            1 / across,
            1 / down,
        )
    tried["intrinsics are those of pictures twice as large"] = (0.5, 0.5)
    tried["intrinsics are those of pictures half as large"] = (2.0, 2.0)
    return {name: scale for k, (name, scale) in enumerate(tried.items()) if _is_new(scale, list(tried.values())[:k])}


def _is_new(scale: tuple[float, float], earlier: list[tuple[float, float]]) -> bool:
    return all(abs(scale[0] / other[0] - 1) > _SAME_FACTOR for other in earlier)


def _remedy(how: str, scale: tuple[float, float]) -> str:
    across, down = scale
    resize = f"multiply the first row of the intrinsics by {across:.4g} and the second by {down:.4g}"
    return ", and ".join(filter(None, (how, resize if scale != (1.0, 1.0) else "")))
