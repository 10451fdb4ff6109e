"""Triton kernels for the attention over source views, which never write its scores.

The plain form, from which the score's bias is left out because it cancels in the softmax:
    scores    = relu(pre_score - query) @ score_weight^T, masked views -1e9
    attention = softmax of the scores over views, per channel, in float32
    attended  = sum over views of attention * values.
Importing this module imports Triton.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpnerf.models.ops import kernels
from gpnerf.models.ops.triton_dot import dot

_TOKENS = kernels.MIN_DOT  # samples per program; with more, the backward pass keeps part of its sums in memory

# `no_type_check` throughout: a kernel's arguments are Triton's values, not those that it is launched with.


@triton.jit
@no_type_check
def _block(
    tokens, width: tl.constexpr, hidden: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr
):  # fmt: skip
    """This program's samples, the columns of wide and narrow rows, and which of all these exist."""
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.arange(0, WIDTH)[None, :]
    unit = tl.arange(0, HIDDEN)[None, :]
    live = (token < tokens)[:, None]
    return token, channel, unit, live & (channel < width), live & (unit < hidden)


@triton.jit
@no_type_check
def _matrix(
    score_weight, width: tl.constexpr, hidden: tl.constexpr, dtype: tl.constexpr,
    WIDTH: tl.constexpr, HIDDEN: tl.constexpr,
):  # fmt: skip
    """The score's weights as [hidden, width], in the type that they are multiplied in."""
    unit = tl.arange(0, HIDDEN)[:, None]
    channel = tl.arange(0, WIDTH)[None, :]
    inside = (unit < hidden) & (channel < width)
    return tl.load(score_weight + channel * hidden + unit, mask=inside, other=0).to(dtype)


@triton.jit
@no_type_check
def _scores(pre_score, mask, at, mask_at, live, asked, matrix, narrow):
    """One view: its hidden activation, its scores, and by which samples it is seen."""
    seen = (tl.load(mask + mask_at, mask=live, other=0) != 0)[:, None]
    activation = tl.maximum(tl.load(pre_score + at, mask=narrow, other=0).to(tl.float32) - asked, 0)
    scores = dot(activation.to(matrix.dtype), matrix)
    return activation, tl.where(seen, scores, -1e9), seen


@triton.jit
@no_type_check
def _weigh_in(scores, item, top, total, result):
    """Add an item to a softmax-weighted sum, which is rescaled when its largest score grows."""
    new_top = tl.maximum(top, scores)
    shrink = tl.exp(top - new_top)
    weight = tl.exp(scores - new_top)
    return new_top, total * shrink + weight, result * shrink + weight * item


@triton.jit
@no_type_check
def _forward(
    values, pre_score, query, score_weight, mask, attended, attention,
    tokens, views, values_token, pre_token, values_view, pre_view,
    width: tl.constexpr, hidden: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr,
):  # fmt: skip
    """One program: a block of samples, their views one after the other."""
    token, channel, unit, wide, narrow = _block(tokens, width, hidden, TOKENS, WIDTH, HIDDEN)
    live = token < tokens
    asked = tl.load(query + token[:, None] * hidden + unit, mask=narrow, other=0).to(tl.float32)
    matrix = _matrix(score_weight, width, hidden, pre_score.dtype.element_ty, WIDTH, HIDDEN)
    top = tl.full((TOKENS, WIDTH), float("-inf"), tl.float32)
    total = tl.zeros((TOKENS, WIDTH), tl.float32)
    result = tl.zeros((TOKENS, WIDTH), tl.float32)
    for view in range(views):
        at = token[:, None] * pre_token + view * pre_view + unit
        _, scores, _ = _scores(pre_score, mask, at, token * views + view, live, asked, matrix, narrow)
        value = tl.load(values + token[:, None] * values_token + view * values_view + channel, mask=wide, other=0)
        top, total, result = _weigh_in(scores, value.to(tl.float32), top, total, result)
    tl.store(attended + token[:, None] * width + channel, (result / total).to(attended.dtype.element_ty), mask=wide)
    if attention is not None:
        for view in range(views):
            at = token[:, None] * pre_token + view * pre_view + unit
            _, scores, _ = _scores(pre_score, mask, at, token * views + view, live, asked, matrix, narrow)
            weight = (tl.exp(scores - top) / total).to(attention.dtype.element_ty)
            tl.store(attention + (token[:, None] * views + view) * width + channel, weight, mask=wide)


@triton.jit
@no_type_check
def _pull(values, at, attention_grad, attention_at, attended_grad, wide):
    """Gradient with respect to one view's attention."""
    pull = attended_grad * tl.load(values + at, mask=wide, other=0).to(tl.float32)
    if attention_grad is not None:
        pull += tl.load(attention_grad + attention_at, mask=wide, other=0).to(tl.float32)
    return pull


@triton.jit
@no_type_check
def _backward(
    values, pre_score, query, score_weight, mask, attended_grad, attention_grad,
    values_grad, pre_grad, query_grad, weight_grads,
    tokens, views, values_token, pre_token, values_view, pre_view,
    width: tl.constexpr, hidden: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr,
):  # fmt: skip
    """One program: a block of samples; its part of the weights' gradient is added to the others' afterwards."""
    token, channel, unit, wide, narrow = _block(tokens, width, hidden, TOKENS, WIDTH, HIDDEN)
    live = token < tokens
    asked = tl.load(query + token[:, None] * hidden + unit, mask=narrow, other=0).to(tl.float32)
    out_grad = tl.load(attended_grad + token[:, None] * width + channel, mask=wide, other=0).to(tl.float32)
    matrix = _matrix(score_weight, width, hidden, pre_score.dtype.element_ty, WIDTH, HIDDEN)
    top = tl.full((TOKENS, WIDTH), float("-inf"), tl.float32)
    total = tl.zeros((TOKENS, WIDTH), tl.float32)
    mean = tl.zeros((TOKENS, WIDTH), tl.float32)
    for view in range(views):
        at = token[:, None] * pre_token + view * pre_view + unit
        _, scores, _ = _scores(pre_score, mask, at, token * views + view, live, asked, matrix, narrow)
        value_at = token[:, None] * values_token + view * values_view + channel
        out_at = (token[:, None] * views + view) * width + channel
        pull = _pull(values, value_at, attention_grad, out_at, out_grad, wide)
        top, total, mean = _weigh_in(scores, pull, top, total, mean)
    query_sum, weight_sum = _push(
        values, pre_score, mask, attention_grad, values_grad, pre_grad, out_grad, asked, matrix, top, total,
        mean / total, token, channel, unit, live, wide, narrow,
        views, values_token, pre_token, values_view, pre_view, width, hidden, TOKENS, WIDTH, HIDDEN,
    )  # fmt: skip
    tl.store(query_grad + token[:, None] * hidden + unit, query_sum.to(query_grad.dtype.element_ty), mask=narrow)
    channels = tl.arange(0, WIDTH)[:, None]
    weight_at = (tl.program_id(0).to(tl.int64) * width + channels) * hidden + unit
    tl.store(weight_grads + weight_at, weight_sum, mask=(channels < width) & (unit < hidden))


@triton.jit
@no_type_check
def _push(
    values, pre_score, mask, attention_grad, values_grad, pre_grad, out_grad, asked, matrix, top, total,
    mean, token, channel, unit, live, wide, narrow,
    views, values_token, pre_token, values_view, pre_view,
    width: tl.constexpr, hidden: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr,
):  # fmt: skip
    """Store the gradients of every view; return those of the query and the score's weights."""
    query_sum = tl.zeros((TOKENS, HIDDEN), tl.float32)
    weight_sum = tl.zeros((WIDTH, HIDDEN), tl.float32)
    for view in range(views):
        at = token[:, None] * pre_token + view * pre_view + unit
        activation, scores, seen = _scores(pre_score, mask, at, token * views + view, live, asked, matrix, narrow)
        weight = tl.exp(scores - top) / total
        value_at = token[:, None] * values_token + view * values_view + channel
        out_at = (token[:, None] * views + view) * width + channel
        pull = _pull(values, value_at, attention_grad, out_at, out_grad, wide)
        tl.store(values_grad + out_at, (weight * out_grad).to(values_grad.dtype.element_ty), mask=wide)
        # A masked score is a constant: where all views are masked, their equal weights must pass nothing on.
        push = tl.where(seen, weight * (pull - mean), 0).to(matrix.dtype)
        passed = tl.where(activation > 0, dot(push, tl.trans(matrix)), 0)
        pre_at = (token[:, None] * views + view) * hidden + unit
        tl.store(pre_grad + pre_at, passed.to(pre_grad.dtype.element_ty), mask=narrow)
        query_sum -= passed
        weight_sum += dot(tl.trans(push), activation.to(matrix.dtype))
    return query_sum, weight_sum


class _ViewAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, pre_score: Tensor, query: Tensor, score_weight: Tensor, mask: Tensor, want: bool
    ) -> tuple[Tensor, Tensor | None]:
        """As `view_attention`, with rays and samples in one dimension."""
        ctx.set_materialize_grads(False)
        values, pre_score = (x if x.stride(-1) == 1 else x.contiguous() for x in (values, pre_score))
        inputs = (values, pre_score, query.contiguous(), score_weight.contiguous(), mask.contiguous())
        attended = values.new_empty(values.shape[0], values.shape[2])
        attention = values.new_empty(values.shape) if want else None
        launch, numbers = _launch(values, pre_score)
        _forward[launch](*inputs, attended, attention, *numbers)
        ctx.save_for_backward(*inputs)
        return attended, attention

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, attended_grad: Tensor | None, attention_grad: Tensor | None) -> tuple[Tensor | None, ...]:
        values, pre_score, query, score_weight, mask = ctx.saved_tensors
        if attended_grad is None:
            attended_grad = values.new_zeros(values.shape[0], values.shape[2])
        if attention_grad is not None:
            attention_grad = attention_grad.contiguous()
        launch, numbers = _launch(values, pre_score)
        grads = tuple(x.new_empty(x.shape) for x in (values, pre_score, query))
        weight_grads = values.new_empty(*launch, *score_weight.shape, dtype=torch.float32)
        _backward[launch](
            values, pre_score, query, score_weight, mask, attended_grad.contiguous(), attention_grad,
            *grads, weight_grads, *numbers,
        )  # fmt: skip
        return *grads, weight_grads.sum(0).to(score_weight.dtype), None, None


def _launch(values: Tensor, pre_score: Tensor) -> tuple[tuple[int], tuple[int, ...]]:
    """The number of programs, and the numbers that both kernels end with."""
    tokens, views, width = values.shape
    hidden = pre_score.shape[2]
    padded = (max(kernels.MIN_DOT, triton.next_power_of_2(size)) for size in (width, hidden))
    strides = (values.stride(0), pre_score.stride(0), values.stride(1), pre_score.stride(1))
    return (triton.cdiv(tokens, _TOKENS),), (tokens, views, *strides, width, hidden, _TOKENS, *padded)


def view_attention(
    values: Float[Tensor, "rays samples views width"],
    pre_score: Float[Tensor, "rays samples views hidden"],
    query: Float[Tensor, "rays samples hidden"],
    score_weight: Float[Tensor, "width hidden"],
    mask: Bool[Tensor, "rays samples views"],
    want_attention: bool = True,
) -> tuple[Float[Tensor, "rays samples width"], Float[Tensor, "rays samples views width"] | None]:
    """Attended values and, if wanted, the attention of each view; both in the type of `values`.

    `values` and `pre_score` may be parts of one tensor (best from `torch.split`, whose gradient is one copy); other
    tensors that are not contiguous are copied first. Products are taken in the type of `pre_score`, sums in float32.
    Where all views are masked they weigh alike, and no gradient reaches the scores. Gradients for all but `mask`,
    from either output or both. Raises ValueError for more than 2^31 elements.
    """
    kernels.check_inputs(values=values, pre_score=pre_score, query=query, score_weight=score_weight)
    token, hidden = values.shape[:2], query.shape[2]
    kernels.check_shape("pre_score", pre_score, *values.shape[:3], hidden)
    kernels.check_shape("query", query, *token, hidden)
    kernels.check_shape("score_weight", score_weight, values.shape[3], hidden)
    kernels.check_shape("mask", mask, *values.shape[:3])
    flat = (values.flatten(0, 1), pre_score.flatten(0, 1), query.flatten(0, 1), score_weight, mask.flatten(0, 1))
    attended, attention = _ViewAttention.apply(*flat, want_attention)
    return attended.unflatten(0, token), None if attention is None else attention.unflatten(0, token)
