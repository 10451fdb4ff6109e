"""How well two frames agree under a scene's cameras: matched points against epipolar lines and against depth, and
pixels carried over by depth."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpnerf.checking.matching_points import MatchedPair
from gpnerf.data.scene import Scene
from gpnerf.geometry import camera_rays, inside_image, pixel_grid, points_on_rays, project

_SAME_DEPTH = 0.05  # two depths of a surface differ by less than this share


@dataclass(frozen=True)
class Carried:
    """Pixels of one frame carried into another by depth and cameras.

    `known` are pixels with depth; `shared` those whose surface the other frame shows too, at `places` (x, y) of it.
    """

    pixels: Int64[Tensor, "pixels 2"]
    places: Int64[Tensor, "pixels 2"]
    known: Bool[Tensor, "pixels"]
    shared: Bool[Tensor, "pixels"]


def fundamental_matrix(scene: Scene, first: int, second: int) -> Float[np.ndarray, "3 3"]:
    """F of the scene's cameras: x2' F x1 = 0 for pixels x1, x2 of one point (Hartley & Zisserman, section 9.2)."""
    move = np.linalg.inv(scene.cam_to_world[second]) @ scene.cam_to_world[first]
    x, y, z = move[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    to_ray, other_to_ray = np.linalg.inv(scene.intrinsics[[first, second]])
    return other_to_ray.T @ cross @ move[:3, :3] @ to_ray


def epipolar_lines(
    matrix: Float[np.ndarray, "3 3"], points: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "points 3"]:
    """The lines (a, b, c) with a x + b y + c = 0 and a^2 + b^2 = 1 in the other picture; NaN where there is none."""
    lines = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return lines / np.linalg.norm(lines[:, :2], axis=1, keepdims=True)


def epipolar_distances(scene: Scene, pair: MatchedPair) -> Float[np.ndarray, "points"]:
    """Pixels between a matched point and the line on which the cameras expect it, the mean of both pictures.

    NaN where the cameras have no such line (they stand at one place).
    """
    matrix = fundamental_matrix(scene, pair.first, pair.second)
    return (
        _to_lines(matrix, pair.first_points, pair.second_points)
        + _to_lines(matrix.T, pair.second_points, pair.first_points)
    ) / 2


def depth_distances(scene: Scene, pair: MatchedPair) -> Float[np.ndarray, "known"]:
    """Pixels between a matched point and the place where depth and cameras carry it; for points with known depth.

    A point that would lie behind the camera counts as a whole picture's width.
    """
    depth = scene.depth(pair.first)
    if depth is None:
        return np.zeros(0)
    columns, rows = torch.from_numpy(pair.first_points).round().long().unbind(-1)
    z = depth[rows.clamp(0, scene.form.height - 1), columns.clamp(0, scene.form.width - 1)].double().numpy()
    homogeneous = np.column_stack([pair.first_points, np.ones(len(z))])
    in_camera = homogeneous @ np.linalg.inv(scene.intrinsics[pair.first]).T * z[:, None]
    pose = scene.cam_to_world[pair.first]
    world = torch.from_numpy(in_camera @ pose[:3, :3].T + pose[:3, 3]).float()
    places, in_front = project(world, scene.cameras([pair.second]))
    apart = np.linalg.norm(places[0].numpy() - pair.second_points, axis=1)
    width = scene.form.width
    return np.where(in_front[0].numpy(), np.minimum(apart, width), width)[z > 0]


def carry(scene: Scene, first: int, second: int, stride: int = 1) -> Carried | None:
    """Every `stride`-th pixel of `first` carried into `second`; None where a frame has no depth file."""
    depth, other_depth = scene.depth(first), scene.depth(second)
    if depth is None or other_depth is None:
        return None
    height, width = depth.shape
    pixels, z = pixel_grid(height, width, stride), depth[::stride, ::stride].flatten()
    world = points_on_rays(camera_rays(scene.camera(first), pixels), z[:, None])[:, 0]
    camera = scene.cameras([second])
    places, in_front = project(world, camera)
    visible = (in_front & inside_image(places, height, width))[0] & (z > 0)
    places = places[0].round().long().clamp(torch.tensor(0), torch.tensor([width - 1, height - 1]))
    to_camera = torch.linalg.inv(camera.cam_to_world[0]).to(world.dtype)
    expected = world @ to_camera[2, :3] + to_camera[2, 3]
    seen = other_depth[places[:, 1], places[:, 0]]
    return Carried(pixels, places, z > 0, visible & ((seen - expected).abs() < _SAME_DEPTH * seen))


def _to_lines(
    matrix: Float[np.ndarray, "3 3"], points: Float[np.ndarray, "points 2"], others: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "points"]:
    """How far each of `others` is from the line of its point in their picture."""
    lines = epipolar_lines(matrix, points)
    return np.abs((lines[:, :2] * others).sum(1) + lines[:, 2])
