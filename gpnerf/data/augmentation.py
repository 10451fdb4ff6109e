"""Variety that training examples do not have of themselves: other palettes, exposures, fields of view and depth ranges.

Whatever is changed is changed in all views alike, but for a small exposure of each, so that an example stays one scene.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gpnerf.structures import Cameras, Example, SourceViews, TargetView

# Standard deviations of logarithms: gamma, the gain of each colour channel, and the exposure of each view.
_GAMMA, _WHITE_BALANCE, _EXPOSURE = 0.2, 0.15, 0.04
_HUE_TURNED = 0.5  # the share of examples with another hue
_SMALLEST_CROP = 0.6  # of the picture's sides
# By what near and far are multiplied, as far as the target's depth leaves room.
_NEAR, _FAR = (0.5, 1.2), (0.7, 1.6)
_MARGIN = 1.05


def augmented(example: Example, rng: np.random.Generator) -> Example:
    """The example with another palette, zoomed in, and with another depth range; sizes stay."""
    target, sources = example.target, example.sources
    images = torch.cat([target.image[None], sources.images])
    images = _exposed(_recoloured(images, rng), rng)
    corner, size = _window((images.shape[-2], images.shape[-1]), rng)
    images = _zoomed(images, corner, size)
    changed = TargetView(
        _zoomed_cameras(target.camera, corner, size),
        images[0],
        *(_zoomed_map(each, corner, size) for each in (target.depth, target.labels, target.instances)),
    )
    near, far = _depth_range(example, changed.depth, rng)
    cameras = _zoomed_cameras(sources.cameras, corner, size)
    return replace(example, target=changed, sources=SourceViews(cameras, images[1:]), near=near, far=far)


def _recoloured(images: Float[Tensor, "views 3 height width"], rng: np.random.Generator) -> Tensor:
    """Another gamma, white balance and, in a share of the examples, hue: a turn about the axis of greys."""
    images = images ** float(np.exp(rng.normal(0, _GAMMA)))
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < _HUE_TURNED else 0.0
    gains = np.exp(rng.normal(0, _WHITE_BALANCE, 3))
    matrix = torch.from_numpy(gains[:, None] * _turn_about_grey(angle)).to(images)
    return torch.einsum("ij,vjhw->vihw", matrix, images).clamp(0, 1)


def _turn_about_grey(angle: float) -> Float[np.ndarray, "3 3"]:
    """The rotation of colours that leaves greys as they are."""
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)


def _exposed(images: Float[Tensor, "views 3 height width"], rng: np.random.Generator) -> Tensor:
    gains = torch.from_numpy(np.exp(rng.normal(0, _EXPOSURE, len(images)))).to(images)
    return (images * gains[:, None, None, None]).clamp(0, 1)


def _window(shape: tuple[int, int], rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
    """(top, left) and (height, width) of a window of the picture's shape."""
    share = rng.uniform(_SMALLEST_CROP, 1)
    size = (round(share * shape[0]), round(share * shape[1]))
    top, left = (int(rng.integers(whole - part + 1)) for whole, part in zip(shape, size, strict=True))
    return (top, left), size


def _zoomed(images: Tensor, corner: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The window at the picture's size; pixel centres stay where the cameras have them."""
    (top, left), (height, width) = corner, size
    window = images[..., top : top + height, left : left + width]
    return F.interpolate(window, size=images.shape[-2:], mode="bicubic", align_corners=False).clamp(0, 1)


def _zoomed_map(values: Tensor | None, corner: tuple[int, int], size: tuple[int, int]) -> Tensor | None:
    """The window of depth or ids by the nearest pixel centre: nothing is mixed."""
    if values is None:
        return None
    rows, columns = (
        start + (2 * torch.arange(whole) + 1) * part // (2 * whole)
        for start, part, whole in zip(corner, size, values.shape, strict=True)
    )
    return values[rows[:, None], columns]


def _zoomed_cameras(cameras: Cameras, corner: tuple[int, int], size: tuple[int, int]) -> Cameras:
    """f' = f s, c' = (c - corner + 0.5) s - 0.5 for each axis, s the zoom."""
    intrinsics = cameras.intrinsics.clone()
    for axis, start, part, whole in ((0, corner[1], size[1], cameras.width), (1, corner[0], size[0], cameras.height)):
        zoom = whole / part
        intrinsics[..., axis, :] *= zoom
        intrinsics[..., axis, 2] += (0.5 - start) * zoom - 0.5
    return replace(cameras, intrinsics=intrinsics)


def _depth_range(example: Example, depth: Tensor | None, rng: np.random.Generator) -> tuple[float, float]:
    """Another near and far that leave no known depth of the target out (beyond those that the old ones left out)."""
    near, far = example.near * rng.uniform(*_NEAR), example.far * rng.uniform(*_FAR)
    known = torch.empty(0) if depth is None else depth[(depth >= example.near) & (depth <= example.far)]
    if not len(known):
        return min(near, example.near), max(far, example.far)
    near, far = min(near, float(known.min()) / _MARGIN), max(far, float(known.max()) * _MARGIN)
    return near, far
