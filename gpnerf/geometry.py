"""Pinhole geometry: rays of pixels, projection into views, relative viewing directions.

OpenCV axes, camera-to-world poses, pixel centres at integers, depth along the camera z axis.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpnerf.structures import Cameras, Rays

# A point on a camera's plane has no image; these bounds keep its projection finite (and outside every image).
_SMALLEST_DEPTH = 1e-8
_LARGEST_PIXEL = 1e6
_SMALLEST_NORM = 1e-6
_SQUARED_NORM_FLOOR = 1e-12  # keeps the cosine, and its gradient, finite at a zero vector

_Function = TypeVar("_Function", bound=Callable)


def full_precision(function: _Function) -> _Function:
    """Keep a function's products in float32 under autocast: bfloat16 cannot tell neighbouring pixels apart."""
    return torch.autocast("cuda", enabled=False)(torch.autocast("cpu", enabled=False)(function))


def pixel_grid(height: int, width: int, stride: int = 1) -> Int64[Tensor, "pixels 2"]:
    """Pixels (u, v) of an image in row-major order, every `stride`-th row and column."""
    rows = torch.arange(0, height, stride)
    columns = torch.arange(0, width, stride)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(-1, 2)


@full_precision
def camera_rays(camera: Cameras, pixels: Int64[Tensor, "rays 2"]) -> Rays:
    """Rays through pixel centres: direction R K^-1 (u, v, 1), not normalised, so that z along it is depth."""
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=-1).to(camera.intrinsics.dtype)
    pose = camera.cam_to_world.to(camera.intrinsics.dtype)
    rotation = pose[:3, :3]
    # `inv_ex` does not ask whether the matrix is singular, for which the processor would have to wait for a GPU.
    directions = homogeneous @ (rotation @ torch.linalg.inv_ex(camera.intrinsics).inverse).T
    return Rays(pose[:3, 3].expand_as(directions), directions, pixels, camera)


@full_precision
def seen_from(target: Cameras, sources: Cameras, unit: float) -> tuple[Cameras, Cameras]:
    """A target camera and its source cameras in the target's axes, lengths in `unit` metres.

    Both are the same, to rounding, wherever the scene lies and however it is turned: poses are multiplied in float64.
    """
    relative = torch.linalg.inv_ex(target.cam_to_world.double()).inverse @ sources.cam_to_world.double()
    lengths = torch.ones_like(relative[0])
    lengths[:3, 3] = 1 / unit
    relative = (relative * lengths).to(sources.intrinsics.dtype)
    identity = torch.eye(4, dtype=target.intrinsics.dtype, device=relative.device)
    return replace(target, cam_to_world=identity), replace(sources, cam_to_world=relative)


def points_on_rays(rays: Rays, z: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples 3"]:
    """World positions at depths z (metres)."""
    return rays.origins[:, None] + z[..., None] * rays.directions[:, None]


@full_precision
def project(
    points: Float[Tensor, "*points 3"], cameras: Cameras
) -> tuple[Float[Tensor, "views *points 2"], Bool[Tensor, "views *points"]]:
    """Pixel positions (x, y) of world points in every view, and whether they lie in front of it.

    Depth is bounded below by 1e-8 and pixels by +-1e6, so that every output is finite.
    """
    world_to_camera = torch.linalg.inv_ex(cameras.cam_to_world.to(points.dtype)).inverse
    world_to_pixel = cameras.intrinsics @ world_to_camera[:, :3]
    flat = points.reshape(-1, 3)
    projected = flat @ world_to_pixel[:, :, :3].transpose(1, 2) + world_to_pixel[:, None, :, 3]
    depth = projected[..., 2:]
    pixels = (projected[..., :2] / depth.clamp(min=_SMALLEST_DEPTH)).clamp(-_LARGEST_PIXEL, _LARGEST_PIXEL)
    shape = (-1, *points.shape[:-1])
    return pixels.reshape(*shape, 2), (depth[..., 0] > 0).reshape(shape)


def inside_image(pixels: Float[Tensor, "views *points 2"], height: int, width: int) -> Bool[Tensor, "views *points"]:
    """Whether pixel positions lie within [0, width - 1] x [0, height - 1], borders included."""
    x, y = pixels.unbind(-1)
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def normalised_pixels(
    pixels: Float[Tensor, "views *points 2"], height: int, width: int
) -> Float[Tensor, "views *points 2"]:
    """Pixel positions as `grid_sample` coordinates: corners' centres at -1 and 1 (align_corners=True)."""
    # Filled on the device, not copied to it.
    size = torch.stack([pixels.new_full((), width - 1), pixels.new_full((), height - 1)])
    return 2 * pixels / size - 1


def unit(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Vectors divided by their length plus 1e-6, so that a zero vector stays zero."""
    return vectors / (vectors.norm(dim=-1, keepdim=True) + _SMALLEST_NORM)


def cosine(x: Float[Tensor, "*vectors channels"], y: Float[Tensor, "*#vectors channels"]) -> Float[Tensor, "*vectors"]:
    """Cosine of the angle between vectors, at least in float32 whatever autocast chose for them; 0 at a zero vector."""
    x, y = (t.to(torch.promote_types(t.dtype, torch.float32)) for t in (x, y))
    squared_norms = (x.square().sum(-1) + _SQUARED_NORM_FLOOR) * (y.square().sum(-1) + _SQUARED_NORM_FLOOR)
    return (x * y).sum(-1) / squared_norms.sqrt()


def relative_directions(
    points: Float[Tensor, "samples rays 3"],
    target_origins: Float[Tensor, "rays 3"],
    source_origins: Float[Tensor, "views 3"],
) -> Float[Tensor, "views samples rays 4"]:
    """How a source looks at a point compared with the target: unit difference of the two unit viewing
    directions (point to camera centre), and their dot product."""
    target = unit(target_origins - points)
    source = unit(source_origins[:, None, None] - points)
    difference = target - source
    length = difference.norm(dim=-1, keepdim=True).clamp(min=_SMALLEST_NORM)
    return torch.cat([difference / length, (target * source).sum(-1, keepdim=True)], dim=-1)


def positional_encoding(values: Float[Tensor, "*batch dims"], octaves: int) -> Float[Tensor, "*batch encoded"]:
    """The value, then sin and cos of 2^k times it for k = 0 .. octaves-1 (no pi): dims * (1 + 2 * octaves) numbers."""
    scaled = [values * 2.0**k for k in range(octaves)]
    return torch.cat([values, *(wave(x) for x in scaled for wave in (torch.sin, torch.cos))], dim=-1)
