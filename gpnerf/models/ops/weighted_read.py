"""Weighted sums of what the semantic maps show at the samples, without all views' features existing together."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.models.projection import read_maps

# Features [rows, channels] of one view, and the places (samples times rays, flat) that they belong to; None for all.
_Read = tuple[Tensor, Tensor | None]


def weighted_read(
    maps: Float[Tensor, "views channels rows cols"],
    grid: Float[Tensor, "views samples rays 2"],
    render_weights: Float[Tensor, "views samples rays groups"],
    field_weights: Float[Tensor, "views samples rays groups"] | None,
) -> tuple[Float[Tensor, "rays channels"], Float[Tensor, "samples rays channels"] | None]:
    """Sums over views and samples, and (with `field_weights`) sums over views only, of weights times features.

    Channels are shared out evenly: each group's weight counts for its consecutive channels. Maps that learn are read
    in plain operations, others so that nothing is kept for the backward pass.
    """
    if maps.requires_grad and torch.is_grad_enabled():
        return weighted_sums(
            lambda view: read_maps(maps[view : view + 1], grid[view : view + 1])[0], render_weights, field_weights
        )
    return _WeightedRead.apply(maps, grid, render_weights, field_weights)


def weighted_sums(
    read: Callable[[int], Float[Tensor, "channels samples rays"]],
    render_weights: Float[Tensor, "views samples rays groups"],
    field_weights: Float[Tensor, "views samples rays groups"] | None,
) -> tuple[Float[Tensor, "rays channels"], Float[Tensor, "samples rays channels"] | None]:
    """The sums of `weighted_read` view by view in plain operations; `read` gives a view's features at every sample."""
    rendered: Tensor | float = 0.0
    field: Tensor | float | None = None if field_weights is None else 0.0
    for view, weights in enumerate(render_weights):
        features = read(view).unflatten(0, (weights.shape[-1], -1))
        rendered = rendered + (features * weights.permute(2, 0, 1)[:, None]).sum(dim=2)
        if field_weights is not None:
            field = field + features * field_weights[view].permute(2, 0, 1)[:, None]
    assert isinstance(rendered, Tensor)
    return rendered.flatten(0, 1).T, field.flatten(0, 1).permute(1, 2, 0) if isinstance(field, Tensor) else None


class _WeightedRead(torch.autograd.Function):
    """Gradients for the weights only; the backward pass reads the maps again instead of keeping what was read."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, grid: Tensor, render_weights: Tensor, field_weights: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        ctx.save_for_backward(maps, grid)
        ctx.groups = render_weights.shape[-1]
        samples, rays = grid.shape[1:3]
        rendered = grid.new_zeros(rays, maps.shape[1])
        field = None if field_weights is None else grid.new_zeros(samples * rays, maps.shape[1])
        for view, (features, places) in enumerate(_read_views(maps, grid)):
            _add_by_ray(rendered, _weighted(features, render_weights[view], places), places)
            if field is not None and field_weights is not None:
                product = _weighted(features, field_weights[view], places)
                field = field.add_(product) if places is None else field.index_add_(0, places, product)
        return rendered, None if field is None else field.view(samples, rays, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_field: Tensor | None) -> tuple[Tensor | None, ...]:
        maps, grid = ctx.saved_tensors
        views, samples, rays = grid.shape[:3]
        of_render = grid.new_zeros(views, samples * rays, ctx.groups)
        of_field = None if grad_field is None else torch.zeros_like(of_render)
        for view, (features, places) in enumerate(_read_views(maps, grid)):
            each = grad.repeat(samples, 1) if places is None else grad[places % rays]
            _put(of_render[view], _summed_by_group(features * each, ctx.groups), places)
            if of_field is not None and grad_field is not None:
                each = grad_field.flatten(0, 1)
                each = each if places is None else each[places]
                _put(of_field[view], _summed_by_group(features * each, ctx.groups), places)
        shape = (views, samples, rays, ctx.groups)
        return None, None, of_render.view(shape), None if of_field is None else of_field.view(shape)


def _read_views(maps: Tensor, grid: Tensor) -> Iterator[_Read]:
    for view in range(len(maps)):
        if maps.device.type == "cpu":
            yield _read_visible(maps[view].to(grid.dtype), grid[view].flatten(0, 1))
        else:
            features = read_maps(maps[view : view + 1], grid[view : view + 1])[0]
            yield features.flatten(1).T, None


def _read_visible(
    maps: Float[Tensor, "channels rows cols"], grid: Float[Tensor, "places 2"]
) -> tuple[Float[Tensor, "visible channels"], Int64[Tensor, "visible"]]:
    """Bilinear values at the places that touch the map: what `read_maps` gives there, zero everywhere else.

    `embedding_bag` reads whole pixels, which lie together when channels come last; on a CPU it is several times faster
    than `grid_sample`, whose channels lie far apart.
    """
    rows, cols = maps.shape[1:]
    position = (grid + 1) / 2 * grid.new_tensor([cols - 1, rows - 1])
    places = ((position > -1) & (position < grid.new_tensor([cols, rows]))).all(dim=-1).nonzero()[:, 0]
    position = position[places]
    first = position.floor()
    share = position - first
    (x, y), (u, v) = first.long().unbind(-1), share.unbind(-1)
    pixels, weights = [], []
    for column, across in ((x, 1 - u), (x + 1, u)):
        for row, down in ((y, 1 - v), (y + 1, v)):
            inside = (column >= 0) & (column < cols) & (row >= 0) & (row < rows)
            pixels.append(torch.where(inside, row * cols + column, 0))
            weights.append(torch.where(inside, across * down, 0))
    table = maps.permute(1, 2, 0).reshape(rows * cols, -1).contiguous()
    corners = torch.stack(pixels, dim=1), torch.stack(weights, dim=1)
    return F.embedding_bag(corners[0], table, per_sample_weights=corners[1], mode="sum"), places


def _weighted(features: Tensor, weights: Tensor, places: Tensor | None) -> Tensor:
    """Features times the weights of their places and groups, [places, channels]."""
    flat = weights.flatten(0, 1)
    flat = flat if places is None else flat[places]
    return features * flat.repeat_interleave(features.shape[1] // flat.shape[1], dim=1)


def _add_by_ray(total: Tensor, product: Tensor, places: Tensor | None) -> None:
    if places is None:
        total += product.view(-1, *total.shape).sum(dim=0)
    else:
        total.index_add_(0, places % len(total), product)


def _summed_by_group(product: Tensor, groups: int) -> Tensor:
    return product.unflatten(1, (groups, -1)).sum(dim=-1)


def _put(target: Tensor, values: Tensor, places: Tensor | None) -> None:
    if places is None:
        target.copy_(values)
    else:
        target[places] = values.to(target.dtype)
