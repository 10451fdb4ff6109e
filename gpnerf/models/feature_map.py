"""Where a ray's pixel lies on the half-resolution feature map, and writing rendered features into it."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.structures import Compat


def feature_cells(
    pixels: Int64[Tensor, "rays 2"], image_width: int, grid_width: int, compat: Compat = "none"
) -> Int64[Tensor, "rays"]:
    """Flat index of the feature cell of each pixel (u, v): column u // 2, row v // 2.

    `release` is the released program's rule: the flat pixel index less one is split into row and column, so every
    pixel reads its left neighbour's cell and the first one wraps to -1, the last cell.
    """
    u, v = pixels.unbind(-1)
    if compat == "release":
        before = v * image_width + u - 1
        v = torch.div(before, image_width, rounding_mode="floor")
        u = before % image_width
    return torch.div(v, 2, rounding_mode="floor") * grid_width + torch.div(u, 2, rounding_mode="floor")


def read_cells(
    features: Float[Tensor, "channels rows cols"], cells: Int64[Tensor, "rays"]
) -> Float[Tensor, "rays channels"]:
    """Features of the cells."""
    return features.flatten(1).T[cells]


def insert_cells(
    features: Float[Tensor, "channels rows cols"],
    rendered: Float[Tensor, "rays channels"],
    cells: Int64[Tensor, "rays"],
) -> Float[Tensor, "channels rows cols"]:
    """A copy of the map with rendered features in their cells (paper, Fig. 3a); of several rays the first counts."""
    flat = features.flatten(1)
    places = cells % flat.shape[1]
    order = torch.arange(len(cells), device=cells.device)
    first = torch.full_like(flat[0], len(cells), dtype=torch.int64).scatter_reduce(0, places, order, "amin")[places]
    # Every ray writes what the first one of its cell does, so that their order does not matter; only that one learns.
    written = torch.where((first == order)[:, None], rendered, rendered.detach()[first])
    return flat.index_copy(1, places, written.to(flat.dtype).T).unflatten(1, features.shape[1:])
