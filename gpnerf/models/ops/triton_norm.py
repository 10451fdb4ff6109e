"""A Triton kernel for layer normalisation of many narrow rows, several rows per program.

The plain form is `torch.nn.functional.layer_norm`. Importing this module imports Triton.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpnerf.models.ops import kernels

_TILE = 4096  # numbers per block of rows
_PROGRAMS = 1024  # at most, in the backward pass: each leaves one partial sum for weight and bias

# `no_type_check` throughout: a kernel's arguments are Triton's values, not those that it is launched with.


@triton.jit
@no_type_check
def _standardised(x, at, inside, live, width, eps):
    """Rows with mean 0 and variance 1 in float32, and what they were multiplied by."""
    rows = tl.load(x + at, mask=inside, other=0).to(tl.float32)
    centred = tl.where(live[None, :], rows - tl.sum(rows, axis=1)[:, None] / width, 0)
    scale = 1 / tl.sqrt(tl.sum(centred * centred, axis=1) / width + eps)
    return centred * scale[:, None], scale[:, None]


@triton.jit
@no_type_check
def _forward(x, weight, bias, result, rows, width, eps, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    live = column < width
    inside = (row < rows)[:, None] & live[None, :]
    at = row[:, None] * width + column[None, :]
    standard, _ = _standardised(x, at, inside, live, width, eps)
    scaled = standard * tl.load(weight + column, mask=live, other=0).to(tl.float32)[None, :]
    shifted = scaled + tl.load(bias + column, mask=live, other=0).to(tl.float32)[None, :]
    tl.store(result + at, shifted.to(result.dtype.element_ty), mask=inside)


@triton.jit
@no_type_check
def _backward(
    x, weight, result_grad, x_grad, weight_grads, bias_grads, rows, width, eps, blocks, programs,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One program: every `programs`-th block of rows; its sums for weight and bias are added up afterwards."""
    program = tl.program_id(0)
    column = tl.arange(0, WIDTH)
    live = column < width
    gain = tl.load(weight + column, mask=live, other=0).to(tl.float32)[None, :]
    weight_sum = tl.zeros((WIDTH,), tl.float32)
    bias_sum = tl.zeros((WIDTH,), tl.float32)
    for block in range(program, blocks, programs):
        row = block * ROWS + tl.arange(0, ROWS).to(tl.int64)
        inside = (row < rows)[:, None] & live[None, :]
        at = row[:, None] * width + column[None, :]
        standard, scale = _standardised(x, at, inside, live, width, eps)
        pull = tl.load(result_grad + at, mask=inside, other=0).to(tl.float32)
        weight_sum += tl.sum(pull * standard, axis=0)
        bias_sum += tl.sum(pull, axis=0)
        scaled = pull * gain
        # What would move the row's mean or variance is taken out.
        along = standard * (tl.sum(scaled * standard, axis=1)[:, None] / width)
        moved = scale * (scaled - tl.sum(scaled, axis=1)[:, None] / width - along)
        tl.store(x_grad + at, moved.to(x_grad.dtype.element_ty), mask=inside)
    tl.store(weight_grads + program * width + column, weight_sum, mask=live)
    tl.store(bias_grads + program * width + column, bias_sum, mask=live)


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
        result = torch.empty_like(x)
        rows, block, width = _launch(x)
        _forward[(triton.cdiv(rows, block),)](x, weight, bias, result, rows, x.shape[-1], eps, block, width)
        ctx.save_for_backward(x, weight, bias)
        ctx.eps = eps
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, result_grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        rows, block, width = _launch(x)
        blocks = triton.cdiv(rows, block)
        programs = min(blocks, _PROGRAMS)
        x_grad = torch.empty_like(x)
        weight_grads, bias_grads = x.new_empty(2, programs, x.shape[-1], dtype=torch.float32)
        _backward[(programs,)](
            x, weight, result_grad.contiguous(), x_grad, weight_grads, bias_grads,
            rows, x.shape[-1], ctx.eps, blocks, programs, block, width,
        )  # fmt: skip
        return x_grad, weight_grads.sum(0).to(weight.dtype), bias_grads.sum(0).to(bias.dtype), None


def _launch(x: Tensor) -> tuple[int, int, int]:
    """Rows, rows per block, and the width rounded up to what Triton computes with."""
    width = triton.next_power_of_2(x.shape[-1])
    return x.numel() // x.shape[-1], max(1, _TILE // width), width


def layer_norm(
    x: Float[Tensor, "*batch width"], weight: Float[Tensor, " width"], bias: Float[Tensor, " width"], eps: float
) -> Float[Tensor, "*batch width"]:
    """Layer normalisation over the last dimension, computed in float32; the result has the type of `x`.

    Gradients for `x`, `weight` and `bias`. Tensors that are not contiguous are copied first.
    Raises ValueError for more than 2^31 elements.
    """
    kernels.check_inputs(x=x, weight=weight, bias=bias)
    kernels.check_shape("weight", weight, x.shape[-1])
    kernels.check_shape("bias", bias, x.shape[-1])
    return _LayerNorm.apply(x, weight, bias, eps)
