"""Semantic features carried along by the colour renderer's attention: the plain definition and its collapsed form.

Per layer l, with A_l the view attention and B_l the ray attention, and F the source views' semantic features,
    f_l[r, j, c]  = sum_i F_i[r, j, c] A_l,i[r, j, c // k]            (k = channels per attention channel)
    g_l[r, j', c] = sum_j B_l[r, head(c), j', j] f_l[r, j, c]
    field = sum_l f_l,   rendered = mean over j' of sum_l g_l.
Both are linear in F, so the attention can be summed over layers first and F read once (`weighted_read`).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Weights [views, samples, rays, width] of rendered features and, if wanted, of the field.
SemanticWeights = tuple[Tensor, Tensor | None]


class PlainSemantics:
    """The definition: every layer aggregates the semantic features of every sample and view."""

    def __init__(self, features: Float[Tensor, "rays samples views channels"]) -> None:
        self.features = features
        self.field: Tensor | float = 0.0
        self.rendered: Tensor | float = 0.0

    def add(
        self,
        view_attention: Float[Tensor, "rays samples views width"],
        ray_attention: Float[Tensor, "rays heads samples samples"],
    ) -> None:
        """Take in one layer's attention."""
        weights = view_attention.repeat_interleave(self.features.shape[-1] // view_attention.shape[-1], dim=-1)
        aggregated = (self.features * weights).sum(dim=2)
        by_head = aggregated.unflatten(-1, (ray_attention.shape[1], -1)).transpose(1, 2)
        self.field = self.field + aggregated
        self.rendered = self.rendered + (ray_attention @ by_head).transpose(1, 2).flatten(2)

    def result(self) -> tuple[Float[Tensor, "rays channels"], Float[Tensor, "rays samples channels"]]:
        """Rendered features and the field."""
        assert isinstance(self.rendered, Tensor) and isinstance(self.field, Tensor)
        return self.rendered.mean(dim=1), self.field


class CollapsedSemantics:
    """The same sums with the layers collapsed: the weights of one read of each source map (`weighted_read`)."""

    def __init__(self, want_field: bool) -> None:
        self.want_field = want_field
        self._learning: list[Tensor] = []
        self._sums: SemanticWeights | None = None

    def add(
        self,
        view_attention: Float[Tensor, "views samples rays width"],
        ray_attention: Float[Tensor, "rays heads queries samples"],
    ) -> None:
        """Take in one layer's attention; of the rays' own the mean over the queries is enough."""
        # The mean over query samples commutes with the sum over key samples.
        per_head = ray_attention.sum(dim=2).permute(2, 0, 1) / ray_attention.shape[2]
        per_channel = per_head.repeat_interleave(view_attention.shape[-1] // ray_attention.shape[1], dim=-1)
        if view_attention.requires_grad or per_channel.requires_grad:
            self._learning += [view_attention, per_channel]
        else:
            self._sums = _add_layer(self._sums, view_attention, per_channel, self.want_field)

    def weights(self) -> SemanticWeights:
        """The weights of rendered features and of the field."""
        if self._learning:
            return _SumOverLayers.apply(self.want_field, *self._learning)
        assert self._sums is not None
        return self._sums


def _add_layer(
    sums: SemanticWeights | None, view_attention: Tensor, per_channel: Tensor, want_field: bool
) -> SemanticWeights:
    if sums is None:
        return view_attention * per_channel, view_attention.clone() if want_field else None
    render, field = sums
    return render.addcmul_(view_attention, per_channel), None if field is None else field.add_(view_attention)


class _SumOverLayers(torch.autograd.Function):
    """sum_l A_l a_l and, if wanted, sum_l A_l of layers' (A_l, a_l), with fewer passes than operation by operation."""

    @staticmethod
    def forward(ctx: Any, want_field: bool, *layers: Tensor) -> SemanticWeights:
        ctx.save_for_backward(*layers)
        sums = None
        for view_attention, per_channel in zip(layers[::2], layers[1::2], strict=True):
            sums = _add_layer(sums, view_attention, per_channel, want_field)
        assert sums is not None
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_field: Tensor | None) -> tuple[Tensor | None, ...]:
        layers = ctx.saved_tensors
        grads: list[Tensor | None] = [None]
        for view_attention, per_channel in zip(layers[::2], layers[1::2], strict=True):
            through = grad * per_channel if grad_field is None else torch.addcmul(grad_field, grad, per_channel)
            grads += [through, (grad * view_attention).sum(dim=0)]
        return tuple(grads)
