"""View attention, re-associated: the same numbers as `models.attention.ViewAttention`, with less arithmetic and memory.

What is linear is multiplied out: with keys Wk h, values Wv Wk h and positions P2 p (p the position MLP's hidden
layer), the score MLP's first layer S1 reads S1 Wk h + S1 P2 p - S1 Wq q, which is eight times narrower than a key. The
backward pass computes values and weights again instead of keeping them. Views come first, so that every step over them
is one pass over contiguous memory.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gpnerf.models.attention import ViewAttention

# Added to the scores of views that do not see a sample. Any finite score vanishes beside it, so a sample that no view
# sees weighs all views alike, as with one fixed score for all; bfloat16 can hold it.
_UNSEEN = -1e30


@dataclass(frozen=True)
class FoldedViewAttention:
    """The multiplied-out weights of a `ViewAttention`; they multiply rows from the right.

    `places` are the position MLP's hidden units and a constant one, which carries the biases.
    """

    query: Float[Tensor, "width hidden"]
    place: Float[Tensor, "five places"]
    value: Float[Tensor, "width width"]
    score: Float[Tensor, "width hidden"]
    place_value: Float[Tensor, "places width"]
    place_score: Float[Tensor, "places hidden"]
    score_last: Float[Tensor, "hidden_and_unseen width"]


def fold_view_attention(attention: ViewAttention) -> FoldedViewAttention:
    """Multiply consecutive linear maps; gradients pass through to the module's parameters."""
    first, last, position = attention.score.first, attention.score.last, attention.position
    # A constant one passes through the hidden layer (ReLU(1) = 1).
    place = F.pad(torch.cat([position.first.weight, position.first.bias[:, None]], dim=1), (0, 0, 0, 1))
    place = place + F.pad(place.new_ones(1, 1), (place.shape[1] - 1, 0, place.shape[0] - 1, 0))
    place_value = torch.cat([position.last.weight, position.last.bias[:, None]], dim=1)
    # The last bias is the same for every view and cancels in the softmax; beside `_UNSEEN` it is lost in rounding.
    score_last = torch.cat([last.weight, (last.bias + _UNSEEN)[:, None]], dim=1)
    return FoldedViewAttention(
        query=(first.weight @ attention.query.weight).T,
        place=place.T,
        value=(attention.value.weight @ attention.key.weight).T,
        score=(first.weight @ attention.key.weight).T,
        place_value=place_value.T,
        place_score=(first.weight @ place_value).T + F.pad(first.bias[None], (0, 0, place.shape[0] - 1, 0)),
        score_last=score_last.T,
    )


def view_attention(
    query: Float[Tensor, "tokens hidden"],
    views: Float[Tensor, "views tokens width"],
    places: Float[Tensor, "views tokens places"],
    unseen: Float[Tensor, "views tokens 1"],
    folded: FoldedViewAttention,
    kept: Float[Tensor, "views tokens width"] | None = None,
    save: bool = False,
) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "views tokens width"]]:
    """Values summed with the attention weights, and these weights (after dropout).

    `query` are queries times `folded.query`, `unseen` is 1 where a view does not see the token and 0 elsewhere, `kept`
    what dropout multiplies the weights with. The backward pass computes values and weights again unless they are to be
    saved.
    """
    weights = (folded.value, folded.score, folded.place_value, folded.place_score, folded.score_last)
    return _Attend.apply(save, query, views, places, unseen, kept, *(weight.to(views.dtype) for weight in weights))


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


class _Attend(torch.autograd.Function):
    """Tensors are [views, tokens, channels] and are multiplied as rows."""

    @staticmethod
    def forward(ctx: Any, save: bool, query: Tensor, views: Tensor, places: Tensor, unseen: Tensor,
                kept: Tensor | None, *weights: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
        inner = _values_and_attention(query, views, places, unseen, *weights)
        saved = inner if save else ()
        ctx.save_for_backward(query, views, places, unseen, kept, *weights, *saved)
        values, _, attention = inner
        if kept is not None:
            attention = attention * kept
        in_place = values.dtype == attention.dtype and not save
        return (values.mul_(attention) if in_place else values * attention).sum(dim=0), attention

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_attention: Tensor | None) -> tuple[Tensor | None, ...]:
        query, views, places, unseen, kept, *others = ctx.saved_tensors
        weights, saved = others[:5], others[5:]
        value, score, place_value, place_score, score_last = weights
        values, hidden, attention = saved or _values_and_attention(query, views, places, unseen, *weights)
        dropped = attention if kept is None else attention * kept
        grad_values = (dropped * grad).to(views.dtype)
        grad_weights = values * grad
        if grad_attention is not None:
            grad_weights += grad_attention
        if kept is not None:
            grad_weights *= kept
        # Through the softmax over views.
        grad_weights *= attention
        grad_scores = grad_weights.addcmul_(attention, grad_weights.sum(dim=0), value=-1).to(views.dtype)
        grad_hidden = (_rows(grad_scores) @ score_last[:-1].T).view_as(hidden[..., :-1])
        # A sample that no view sees has equal weights whatever its scores: nothing flows through them.
        seen = unseen == 0
        grad_hidden *= (hidden[..., :-1] > 0) & seen
        rows, values_rows, hidden_rows = _rows(views), _rows(grad_values), _rows(grad_hidden)
        grad_views = (values_rows @ value.T).addmm_(hidden_rows, score.T).view_as(views)
        grad_places = (values_rows @ place_value.T).addmm_(hidden_rows, place_score.T).view_as(places)
        grads = (
            rows.T @ values_rows,
            rows.T @ hidden_rows,
            _rows(places).T @ values_rows,
            _rows(places).T @ hidden_rows,
            _rows(hidden * seen).T @ _rows(grad_scores),
        )
        return None, -grad_hidden.sum(dim=0), grad_views, grad_places, None, None, *grads


def _values_and_attention(
    query: Tensor, views: Tensor, places: Tensor, unseen: Tensor, value: Tensor, score: Tensor, place_value: Tensor,
    place_score: Tensor, score_last: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Values, the score MLP's hidden layer with `unseen` as a last channel, and the attention weights."""
    rows, place_rows = _rows(views), _rows(places)
    values = (rows @ value).addmm_(place_rows, place_value)
    hidden = (rows @ score).addmm_(place_rows, place_score).view(*views.shape[:2], -1)
    hidden = torch.cat([hidden.sub_(query).relu_(), unseen], dim=-1)
    scores = (_rows(hidden) @ score_last).view_as(views)
    wide = torch.promote_types(views.dtype, torch.float32)
    return values.view_as(views), hidden, torch.softmax(scores, dim=0, dtype=wide)
