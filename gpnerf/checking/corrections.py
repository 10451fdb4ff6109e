"""The usual mistakes in cameras, each with what undoes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gpnerf.data.files import rescale_intrinsics
from gpnerf.data.scene import Scene

# From OpenGL's axes (x right, y up, z backward) to OpenCV's (x right, y down, z forward), and back.
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
# Two factors this close are one and the same correction.
_SAME_FACTOR = 0.1
# By how much the size that a principal point implies may be off: as a share, and pixels where it was rounded.
_OFF_MIDDLE, _ROUNDED = 0.01, 1.5
# Of the pictures that ScanNet's colour cameras take.
_SCANNET = (968, 1296)

# (height, width) in pixels; of no file where it is computed.
Size = tuple[float, float] | tuple[int, int]


@dataclass(frozen=True)
class Correction:
    """A mistake that may have been made (empty for none), what to do about it, and the cameras without it."""

    mistake: str
    remedy: str
    poses: Callable[[Float[np.ndarray, "frames 4 4"]], Float[np.ndarray, "frames 4 4"]]
    scale: tuple[float, float]

    def applied(self, scene: Scene) -> Scene:
        """The scene with cameras as they would be without the mistake."""
        return replace(
            scene,
            cam_to_world=self.poses(scene.cam_to_world),
            intrinsics=np.stack([rescale_intrinsics(matrix, self.scale) for matrix in scene.intrinsics]),
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


def corrections(colour_size: Size, depth_size: Size | None, implied_size: Size) -> list[Correction]:
    """Every mistake in poses with every mistake in intrinsics; the first is none at all.

    Sizes are those of the files, to try whether the intrinsics belong to the depth files, and of the picture in whose
    middle the principal point lies.
    """
    return [
        Correction(" and ".join(filter(None, (of_poses, of_scale))), _remedy(how, scale), undo, scale)
        for of_poses, how, undo in _POSES
        for of_scale, scale in _scales(colour_size, depth_size, implied_size).items()
    ]


def unit_correction(depth_factor: float) -> Correction | None:
    """Depth and poses in different units, if depth must be multiplied by more or less than 1 to fit."""
    if abs(depth_factor - 1) < _SAME_FACTOR:
        return None
    shrink = np.array([[1.0, 1.0, 1.0, 1 / depth_factor]] * 3 + [[1.0] * 4])
    remedy = f"multiply depth by {depth_factor:.4g}, or the shifts of the poses by {1 / depth_factor:.4g}"
    return Correction("depth and poses have different units", remedy, lambda poses: poses * shrink, (1.0, 1.0))


def _scales(colour: Size, depth: Size | None, implied: Size) -> dict[str, tuple[float, float]]:
    """By mistake, what intrinsics must be multiplied with (x, y); none at all first, then what the middle implies."""
    sizes = {"": colour}
    if depth is not None:
        down, across = (mine / other for mine, other in zip(colour, depth, strict=True))
        sizes[f"intrinsics are those of the {depth[1]:g}x{depth[0]:g} depth files"] = depth
        enlarged = (colour[0] * down, colour[1] * across)
        sizes["intrinsics are enlarged from depth size to colour size though they had colour size"] = enlarged
    sizes["intrinsics are those of pictures twice as large"] = (2 * colour[0], 2 * colour[1])
    sizes["intrinsics are those of pictures half as large"] = (colour[0] / 2, colour[1] / 2)
    usual = {name: size for k, (name, size) in enumerate(sizes.items()) if _is_new(size, list(sizes.values())[:k])}
    tried = {"": usual.pop("")} | _first(implied, usual, colour) | usual
    return {name: (colour[1] / size[1], colour[0] / size[0]) for name, size in tried.items()}


def _first(implied: Size, usual: dict[str, Size], colour: Size) -> dict[str, Size]:
    """The picture size that the principal point is the middle of: a usual one if it is that but for rounding."""
    if min(implied) < 1 or not _is_new(implied, [colour]):
        return {}
    for name, size in usual.items():
        if _is_same(implied, size):
            return {name: size}
    height, width = _SCANNET if _is_same(implied, _SCANNET) else (round(implied[0]), round(implied[1]))
    return {f"intrinsics are those of {width}x{height} pictures": (height, width)}


def _is_same(implied: Size, size: Size) -> bool:
    """Whether a principal point is in the middle of pictures of this size, as well as cameras are built."""
    return all(abs(mine - its) <= max(_OFF_MIDDLE * its, _ROUNDED) for mine, its in zip(implied, size, strict=True))


def _is_new(size: Size, earlier: Sequence[Size]) -> bool:
    return all(
        max(abs(mine / its - 1) for mine, its in zip(size, other, strict=True)) > _SAME_FACTOR for other in earlier
    )


def _remedy(how: str, scale: tuple[float, float]) -> str:
    across, down = scale
    resize = f"multiply the first row of the intrinsics by {across:.4g} and the second by {down:.4g}"
    return ", and ".join(filter(None, (how, resize if scale != (1.0, 1.0) else "")))
