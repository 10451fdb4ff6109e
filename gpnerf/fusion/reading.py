"""Reading pictures between their pixels without mixing surfaces."""

import torch
from jaxtyping import Float
from torch import Tensor

_ONE_SURFACE = 0.05  # neighbouring pixels of one surface differ in depth by less than this share
_SMALLEST_DEPTH = 1e-6


def read_depth(depth: Float[Tensor, "height width"], pixels: Float[Tensor, "points 2"]) -> Float[Tensor, "points"]:
    """Depth at positions (x, y) inside the image; 0 where it is unknown.

    On one surface the inverse depth is interpolated, since that is linear in the pixel on a plane; across a border
    and beside unknown depth the nearest pixel counts.
    """
    height, width = depth.shape
    column, row = pixels[:, 0].long().clamp(max=width - 2), pixels[:, 1].long().clamp(max=height - 2)
    flat, corner = depth.flatten(), row * width + column
    corners = torch.stack([flat[corner + step] for step in (0, 1, width, width + 1)])
    right, down = pixels[:, 0] - column, pixels[:, 1] - row
    shares = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down])
    low, high = corners.amin(0), corners.amax(0)
    between = 1 / (shares / corners.clamp(min=_SMALLEST_DEPTH)).sum(0)
    return torch.where((low > 0) & (high - low < _ONE_SURFACE * low), between, read_nearest(depth[None], pixels)[0])


def read_nearest(
    picture: Float[Tensor, "channels height width"], pixels: Float[Tensor, "points 2"]
) -> Float[Tensor, "channels points"]:
    """The values of the pixels nearest to positions inside the image."""
    column, row = pixels.round().long().unbind(-1)
    return picture.flatten(1)[:, row * picture.shape[2] + column]
