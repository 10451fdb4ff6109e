"""Triton kernels for the attention over the samples of a ray, which never write it whole.

The plain form, per ray and head:
    attention = softmax over keys of query @ key^T / sqrt(dim), in float32
    attended  = attention @ value;  besides, the attention's mean over queries and its first row.
Importing this module imports Triton.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpnerf.models.ops import kernels
from gpnerf.models.ops.triton_dot import dot

_MAX_SAMPLES = 256  # keys and values of a ray are held at once
_MAX_DIM = 64
_TILE = 2048  # attention weights held at once

# `no_type_check` throughout: a kernel's arguments are Triton's values, not those that it is launched with.


@triton.jit
@no_type_check
def _attention(query, key, row, column, samples, scale):
    """Rows of the attention in float32; zeros in rows beyond the last sample."""
    scores = dot(query, tl.trans(key)) * scale
    scores = tl.where((column < samples)[None, :], scores, float("-inf"))
    weight = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    return tl.where((row < samples)[:, None], weight / tl.sum(weight, axis=1)[:, None], 0)


@triton.jit
@no_type_check
def _rows(row, samples, dim, row_step, DIM: tl.constexpr):
    """Offsets of some rows of a [samples, dim] matrix, and which of them exist."""
    unit = tl.arange(0, DIM)
    return row[:, None] * row_step + unit[None, :], (row < samples)[:, None] & (unit < dim)[None, :]


@triton.jit
@no_type_check
def _forward(
    query, key, value, attended, mean, first, heads, samples, dim, scale, ray_step, head_step, sample_step,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """One program: one head of one ray. `attended` is [rays, samples, heads, dim]."""
    program = tl.program_id(0).to(tl.int64)
    ray = program // heads
    head = program % heads
    start = ray * ray_step + head * head_step
    out_start = (ray * samples * heads + head) * dim
    column = tl.arange(0, KEYS)
    key_at, key_inside = _rows(column, samples, dim, sample_step, DIM)
    keys = tl.load(key + start + key_at, mask=key_inside, other=0)
    values = tl.load(value + start + key_at, mask=key_inside, other=0)
    total = tl.zeros((KEYS,), tl.float32)
    for block in range(0, samples, QUERIES):
        row = block + tl.arange(0, QUERIES)
        at, inside = _rows(row, samples, dim, sample_step, DIM)
        queries = tl.load(query + start + at, mask=inside, other=0)
        weight = _attention(queries, keys, row, column, samples, scale)
        result = dot(weight.to(values.dtype), values)
        out_at, inside = _rows(row, samples, dim, heads * dim, DIM)
        tl.store(attended + out_start + out_at, result.to(attended.dtype.element_ty), mask=inside)
        total += tl.sum(weight, axis=0)
        if block == 0:
            nearest = tl.sum(tl.where((row == 0)[:, None], weight, 0), axis=0)
            tl.store(first + program * samples + column, nearest, mask=column < samples)
    tl.store(mean + program * samples + column, total / samples, mask=column < samples)


@triton.jit
@no_type_check
def _backward(
    query, key, value, attended_grad, mean_grad, first_grad, query_grad, key_grad, value_grad,
    heads, samples, dim, scale, ray_step, head_step, sample_step,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """One program: one head of one ray. The gradients are [rays, samples, heads, dim]."""
    program = tl.program_id(0).to(tl.int64)
    ray = program // heads
    head = program % heads
    start = ray * ray_step + head * head_step
    out_start = (ray * samples * heads + head) * dim
    column = tl.arange(0, KEYS)
    key_at, key_inside = _rows(column, samples, dim, sample_step, DIM)
    keys = tl.load(key + start + key_at, mask=key_inside, other=0)
    values = tl.load(value + start + key_at, mask=key_inside, other=0)
    mean_pull = tl.load(mean_grad + program * samples + column, mask=column < samples, other=0) / samples
    first_pull = tl.load(first_grad + program * samples + column, mask=column < samples, other=0)
    key_sum = tl.zeros((KEYS, DIM), tl.float32)
    value_sum = tl.zeros((KEYS, DIM), tl.float32)
    for block in range(0, samples, QUERIES):
        row = block + tl.arange(0, QUERIES)
        at, inside = _rows(row, samples, dim, sample_step, DIM)
        queries = tl.load(query + start + at, mask=inside, other=0)
        weight = _attention(queries, keys, row, column, samples, scale)
        out_at, inside = _rows(row, samples, dim, heads * dim, DIM)
        out_grad = tl.load(attended_grad + out_start + out_at, mask=inside, other=0).to(values.dtype)
        pull = dot(out_grad, tl.trans(values)) + mean_pull[None, :]
        pull += tl.where((row == 0)[:, None], first_pull[None, :], 0)
        push = weight * (pull - tl.sum(weight * pull, axis=1)[:, None]) * scale
        push = push.to(keys.dtype)
        moved = dot(push, keys)
        tl.store(query_grad + out_start + out_at, moved.to(query_grad.dtype.element_ty), mask=inside)
        key_sum += dot(tl.trans(push), queries)
        value_sum += dot(tl.trans(weight.to(values.dtype)), out_grad)
    end_at, _ = _rows(column, samples, dim, heads * dim, DIM)
    tl.store(key_grad + out_start + end_at, key_sum.to(key_grad.dtype.element_ty), mask=key_inside)
    tl.store(value_grad + out_start + end_at, value_sum.to(value_grad.dtype.element_ty), mask=key_inside)


class _RayAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs = _alike(query, key, value)
        attended = _samples_first(value)
        mean, first = (value.new_empty(value.shape[:3], dtype=torch.float32) for _ in range(2))
        launch, numbers = _launch(inputs[0])
        _forward[launch](*inputs, attended, mean, first, *numbers)
        ctx.save_for_backward(*inputs)
        return attended.transpose(1, 2), mean, first

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, attended_grad: Tensor, mean_grad: Tensor, first_grad: Tensor) -> tuple[Tensor, ...]:
        inputs = ctx.saved_tensors
        attended_grad = attended_grad.transpose(1, 2).contiguous()
        grads = tuple(_samples_first(x) for x in inputs)
        launch, numbers = _launch(inputs[0])
        _backward[launch](*inputs, attended_grad, mean_grad.contiguous(), first_grad.contiguous(), *grads, *numbers)
        return tuple(grad.transpose(1, 2) for grad in grads)


def _alike(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors with the same strides and dense rows, copied only if they are not so already."""
    if len({x.stride() for x in tensors}) == 1 and tensors[0].stride(-1) == 1:
        return tensors
    return tuple(x.contiguous() for x in tensors)


def _samples_first(x: Tensor) -> Tensor:
    """Room for [rays, samples, heads, dim], the order in which a linear layer reads and writes heads."""
    rays, heads, samples, dim = x.shape
    return x.new_empty(rays, samples, heads, dim)


def _launch(x: Tensor) -> tuple[tuple[int], tuple[int | float, ...]]:
    """The number of programs, and the numbers that both kernels end with."""
    rays, heads, samples, dim = x.shape
    keys, padded = (max(kernels.MIN_DOT, triton.next_power_of_2(size)) for size in (samples, dim))
    queries = max(kernels.MIN_DOT, min(keys, _TILE // keys))
    return (rays * heads,), (heads, samples, dim, dim**-0.5, *x.stride()[:3], queries, keys, padded)


def ray_attention(
    query: Float[Tensor, "rays heads samples dim"],
    key: Float[Tensor, "rays heads samples dim"],
    value: Float[Tensor, "rays heads samples dim"],
) -> tuple[
    Float[Tensor, "rays heads samples dim"], Float[Tensor, "rays heads samples"], Float[Tensor, "rays heads samples"]
]:
    """Attended values, the attention's mean over query samples, and its first query's row (both float32).

    Inputs of equal strides whose last dimension is dense (heads split off linear layers, or parts of one tensor) are
    read in place, others copied first; results and gradients lie in memory as [rays, samples, heads, dim].
    Products are taken in the inputs' type, sums and softmax in float32. Gradients for all inputs from all outputs.
    Raises ValueError for more than 256 samples, more than 64 channels per head, or more than 2^31 elements.
    """
    kernels.check_inputs(query=query, key=key, value=value)
    kernels.check_shape("key", key, *query.shape)
    kernels.check_shape("value", value, *query.shape)
    if not query.dtype == key.dtype == value.dtype:
        raise ValueError(f"query, key and value must be of one type, not {query.dtype}, {key.dtype}, {value.dtype}")
    if query.shape[2] > _MAX_SAMPLES or query.shape[3] > _MAX_DIM:
        raise ValueError(
            f"{query.shape[2]} samples of {query.shape[3]} channels: at most {_MAX_SAMPLES} of {_MAX_DIM} fit"
        )
    return _RayAttention.apply(query, key, value)
