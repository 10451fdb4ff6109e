"""Semantic features carried along by the colour renderer's attention: the plain definition and its collapsed form.

Per layer l, with A_l the view attention and B_l the ray attention, and F the source views' semantic features,
    f_l[r, j, c]  = sum_i F_i[r, j, c] A_l,i[r, j, c // k]            (k = channels per attention channel)
    g_l[r, j', c] = sum_j B_l[r, head(c), j', j] f_l[r, j, c]
    field = sum_l f_l,   rendered = mean over j' of sum_l g_l.
Both are linear in F, so the attention can be summed over layers first and F read once.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from gpnerf.models.projection import SampledSources


@runtime_checkable
class SemanticAccumulator(Protocol):
    """Collects the attention of every layer; then gives rendered features and, if asked for, the field."""

    def add(
        self,
        view_attention: Float[Tensor, "rays samples views width"],
        ray_attention: Float[Tensor, "rays heads samples samples"],
    ) -> None: ...

    def result(self) -> tuple[Float[Tensor, "rays channels"], Float[Tensor, "rays samples channels"] | None]: ...


class PlainSemantics:
    """The definition: every layer aggregates the semantic features of every sample and view."""

    def __init__(self, sources: SampledSources, want_field: bool) -> None:
        self.views = [sources.semantics(view).permute(1, 2, 0) for view in range(sources.mask.shape[2])]
        self.want_field = want_field
        self.field: Tensor | float = 0.0
        self.rendered: Tensor | float = 0.0

    def add(self, view_attention: Tensor, ray_attention: Tensor) -> None:
        repeat = self.views[0].shape[-1] // view_attention.shape[-1]
        weights = view_attention.repeat_interleave(repeat, dim=-1).unbind(dim=2)
        products = [feature * weight for feature, weight in zip(self.views, weights, strict=True)]
        aggregated = torch.stack(products).sum(dim=0)
        by_head = aggregated.unflatten(-1, (ray_attention.shape[1], -1)).transpose(1, 2)
        self.field = self.field + aggregated
        self.rendered = self.rendered + (ray_attention @ by_head).transpose(1, 2).flatten(2)

    def result(self) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self.rendered, Tensor) and isinstance(self.field, Tensor)
        return self.rendered.mean(dim=1), self.field if self.want_field else None


class CollapsedSemantics:
    """The same sums with the layers collapsed: one weighted read of each source map."""

    def __init__(self, sources: SampledSources, want_field: bool) -> None:
        self.sources = sources
        self.want_field = want_field
        self.field_weights: Tensor | float = 0.0
        self.render_weights: Tensor | float = 0.0

    def add(self, view_attention: Tensor, ray_attention: Tensor) -> None:
        # The mean over query samples commutes with the sum over key samples.
        per_head = ray_attention.mean(dim=2).transpose(1, 2)
        per_channel = per_head.repeat_interleave(view_attention.shape[-1] // ray_attention.shape[1], dim=-1)
        self.render_weights = self.render_weights + view_attention * per_channel[:, :, None]
        if self.want_field:
            self.field_weights = self.field_weights + view_attention

    def result(self) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self.render_weights, Tensor)
        # Channels first, as the maps are read, so that every product runs over contiguous samples.
        render_weights = self.render_weights.permute(2, 3, 0, 1).contiguous()
        rendered: Tensor | float = 0.0
        field: Tensor | float | None = None
        field_weights = None
        if isinstance(self.field_weights, Tensor):
            field, field_weights = 0.0, self.field_weights.permute(2, 3, 0, 1).contiguous()
        # View by view: the features of all views at all samples never exist together.
        for view, weights in enumerate(render_weights):
            features = self.sources.semantics(view).unflatten(0, (len(weights), -1))
            rendered = rendered + (features * weights[:, None]).sum(dim=-1)
            if field_weights is not None:
                field = field + features * field_weights[view][:, None]
        assert isinstance(rendered, Tensor)
        return rendered.flatten(0, 1).T, field.flatten(0, 1).permute(1, 2, 0) if isinstance(field, Tensor) else None
