"""Triton kernels that read maps bilinearly and weigh what they read without writing it down in between.

With k channels per group and `read` = `grid_sample` (bilinear, zeros outside, align_corners=True),
    field[r, j, c]  = sum over views i of weights[r, j, i, c // k] * read(maps[i], grid[i, r, j])[c]
    result[r, c]    = sum over samples j of field[r, j, c].
The collapsed semantic rendering in plain PyTorch is the same sum. Importing this module imports Triton.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpnerf.models.ops import kernels

_CHANNELS = 256  # per program
_WARPS = 2

# `no_type_check` throughout: a kernel's arguments are Triton's values, not those that it is launched with.


@triton.jit
@no_type_check
def _corner(corner, x, y, rows, cols):
    """Pixel number of one of the four neighbours, and its share: none outside the image."""
    column = tl.floor(x) + corner % 2
    row = tl.floor(y) + corner // 2
    inside = (column >= 0) & (column < cols) & (row >= 0) & (row < rows)
    share = tl.where(inside, (1 - tl.abs(x - column)) * (1 - tl.abs(y - row)), 0.0)
    # Any pixel does where the share is zero.
    return tl.where(inside, row.to(tl.int32) * cols + column.to(tl.int32), 0), share


@triton.jit
@no_type_check
def _read(plane, x, y, rows, cols, channels, channel, valid):
    pixel, share = _corner(0, x, y, rows, cols)
    value = share * tl.load(plane + pixel * channels + channel, mask=valid, other=0).to(tl.float32)
    for corner in tl.static_range(1, 4):
        pixel, share = _corner(corner, x, y, rows, cols)
        value += share * tl.load(plane + pixel * channels + channel, mask=valid, other=0).to(tl.float32)
    return value


@triton.jit
@no_type_check
def _pixel(grid, place, rows, cols):
    """Pixel coordinates of a point, and whether any neighbour lies in the image (never for NaN)."""
    x = (tl.load(grid + 2 * place) + 1) / 2 * (cols - 1)
    y = (tl.load(grid + 2 * place + 1) + 1) / 2 * (rows - 1)
    return x, y, (x > -1) & (x < cols) & (y > -1) & (y < rows)


@triton.jit
@no_type_check
def _forward(
    maps, grid, weights, result, rays, samples, views, rows, cols, groups, span,
    size: tl.constexpr, GROUPS: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """One program: `span` samples of a ray, a block of groups with `size` channels each."""
    program = tl.program_id(0).to(tl.int64)
    first = program * span  # among the samples of all rays
    group = tl.program_id(1) * GROUPS + tl.arange(0, GROUPS)
    within = tl.arange(0, SIZE)
    channel = group[:, None] * size + within[None, :]
    valid = (group < groups)[:, None] & (within < size)[None, :]
    channels = groups * size
    total = tl.zeros((GROUPS, SIZE), tl.float32)
    for step in range(span):
        for view in range(views):
            x, y, inside = _pixel(grid, view * rays * samples + first + step, rows, cols)
            if inside:
                at = ((first + step) * views + view) * groups + group
                weight = tl.load(weights + at, mask=group < groups, other=0).to(tl.float32)
                plane = maps + view * rows * cols * channels
                total += weight[:, None] * _read(plane, x, y, rows, cols, channels, channel, valid)
    tl.store(result + program * channels + channel, total, mask=valid)


@triton.jit
@no_type_check
def _backward(
    maps, grid, weights, result_grad, weights_grad, maps_grad, rays, samples, views, rows, cols, groups, span,
    size: tl.constexpr, GROUPS: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """One program: one sample of a ray, a block of groups. Gradients start as zeros; None is not wanted."""
    sample = tl.program_id(0).to(tl.int64)
    group = tl.program_id(1) * GROUPS + tl.arange(0, GROUPS)
    within = tl.arange(0, SIZE)
    channel = group[:, None] * size + within[None, :]
    valid = (group < groups)[:, None] & (within < size)[None, :]
    channels = groups * size
    pull = tl.load(result_grad + sample // span * channels + channel, mask=valid, other=0).to(tl.float32)
    for view in range(views):
        x, y, inside = _pixel(grid, view * rays * samples + sample, rows, cols)
        if inside:
            at = (sample * views + view) * groups + group
            plane = view * rows * cols * channels
            if weights_grad is not None:
                product = pull * _read(maps + plane, x, y, rows, cols, channels, channel, valid)
                tl.store(weights_grad + at, tl.sum(product, axis=1), mask=group < groups)
            if maps_grad is not None:
                weighted = tl.load(weights + at, mask=group < groups, other=0).to(tl.float32)[:, None] * pull
                for corner in tl.static_range(4):
                    pixel, share = _corner(corner, x, y, rows, cols)
                    tl.atomic_add(maps_grad + plane + pixel * channels + channel, share * weighted, mask=valid)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, grid: Tensor, weights: Tensor, span: int) -> Tensor:
        grid, weights = grid.contiguous(), weights.contiguous()
        result = maps.new_empty(weights.shape[0], weights.shape[1] // span, maps.shape[-1], dtype=torch.float32)
        blocks, numbers = _launch(maps, weights, span)
        _forward[result.shape[0] * result.shape[1], blocks](maps, grid, weights, result, *numbers, num_warps=_WARPS)
        ctx.save_for_backward(maps, grid, weights)
        ctx.span = span
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, result_grad: Tensor) -> tuple[Tensor | None, ...]:
        maps, grid, weights = ctx.saved_tensors
        # Sums of many small numbers: in float32 whatever the type of the tensors.
        maps_grad = torch.zeros_like(maps, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        weights_grad = torch.zeros_like(weights, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        blocks, numbers = _launch(maps, weights, ctx.span)
        _backward[weights.shape[0] * weights.shape[1], blocks](
            maps, grid, weights, result_grad.contiguous(), weights_grad, maps_grad, *numbers, num_warps=_WARPS
        )
        cast_maps = None if maps_grad is None else maps_grad.to(maps.dtype)
        return cast_maps, None, None if weights_grad is None else weights_grad.to(weights.dtype), None


def _launch(maps: Tensor, weights: Tensor, span: int) -> tuple[int, tuple[int, ...]]:
    """The number of blocks of groups, and the numbers that both kernels end with."""
    views, rows, cols, channels = maps.shape
    rays, samples, _, groups = weights.shape
    padded = triton.next_power_of_2(channels // groups)
    together = max(1, min(_CHANNELS // padded, triton.next_power_of_2(groups)))
    numbers = (rays, samples, views, rows, cols, groups, span, channels // groups, together, padded)
    return triton.cdiv(groups, together), numbers


def weighted_gather(
    maps: Float[Tensor, "views rows cols channels"],
    grid: Float[Tensor, "views rays samples 2"],
    weights: Float[Tensor, "rays samples views groups"],
) -> Float[Tensor, "rays channels"]:
    """Sum over samples and views of weights times what the maps show there, in float32.

    `maps` float32 or half precision, contiguous with channels last; `grid` float32 in `grid_sample`'s normalised
    coordinates; `groups` divides `channels`. Other layouts of `grid` and `weights` are copied first. Gradients for
    `weights` and `maps` (added atomically: on a GPU their last digits depend on the order).
    Raises ValueError for maps in another layout, for a grid that wants a gradient, and for more than 2^31 elements.
    """
    _check(maps, grid, weights)
    return _Gather.apply(maps, grid, weights, weights.shape[1])[:, 0]


def gathered_field(
    maps: Float[Tensor, "views rows cols channels"],
    grid: Float[Tensor, "views rays samples 2"],
    weights: Float[Tensor, "rays samples views groups"],
) -> Float[Tensor, "rays samples channels"]:
    """`weighted_gather` without the sum over samples."""
    _check(maps, grid, weights)
    kernels.check_count("the field", *weights.shape[:2], maps.shape[-1])
    return _Gather.apply(maps, grid, weights, 1)


def _check(maps: Tensor, grid: Tensor, weights: Tensor) -> None:
    kernels.check_inputs(maps=maps, grid=grid, weights=weights)
    rays, samples, views, groups = weights.shape
    kernels.check_shape("grid", grid, views, rays, samples, 2)
    kernels.check_shape("maps", maps, views, *maps.shape[1:])
    if grid.dtype != torch.float32 or grid.requires_grad:
        raise ValueError(f"grid is {grid.dtype}, it must be float32 and gets no gradient (detach it)")
    if not maps.is_contiguous():
        raise ValueError(f"maps of shape {tuple(maps.shape)} are not contiguous with channels last: convert them once")
    if maps.shape[-1] % groups:
        raise ValueError(f"{groups} groups do not divide {maps.shape[-1]} channels")
