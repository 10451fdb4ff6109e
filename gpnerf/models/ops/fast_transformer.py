"""The renderer's network, re-associated: what `RayTransformer` defines, arranged so that little is done twice.

Tokens are ordered views, samples, rays: what concerns one sample alone is made once (`SampleTokens`) and a fine pass
joins further samples to those of the coarse pass. No layer cares about the order of the samples except the learned
density, which is the first one's: the nearest sample has to come first.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gpnerf.geometry import full_precision
from gpnerf.models.attention import RayBlock, TwoLayers, ViewAttention, ViewBlock
from gpnerf.models.ops.semantic_gather import CollapsedSemantics, SemanticWeights
from gpnerf.models.ops.torch_kernels import TORCH, Kernels
from gpnerf.models.ops.view_attention import FoldedViewAttention, fold_view_attention
from gpnerf.models.projection import SampledSources
from gpnerf.models.ray_transformer import RayTransformer, TransformerOutput, encode_direction, encode_position

# The next queries [tokens, width], the view attention [views, samples, rays, width], and the ray attention and its
# first query's as `ray_attention` gives them.
LayerOutput = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class SampleTokens:
    """What the network knows of each sample on its own.

    `views`: embedded source features; `directions`: relative viewing directions and a constant one; `unseen`: 1 where a
    view does not see the sample, else 0; `start`: the first queries; `geometry`: what position and viewing direction
    add to the hidden layer of every position MLP; `shown`: the photos' colours and where there are any,
    for a network that blends them.
    """

    views: Float[Tensor, "views samples rays width"]
    directions: Float[Tensor, "views samples rays 5"]
    unseen: Float[Tensor, "views samples rays 1"]
    start: Float[Tensor, "samples rays width"]
    geometry: Float[Tensor, "samples rays position_layers_times_width"]
    shown: Float[Tensor, "views samples rays 4"] | None

    def joined(self, more: "SampleTokens") -> "SampleTokens":
        """These samples followed by more of the same rays."""
        return SampleTokens(
            torch.cat([self.views, more.views], dim=1),
            torch.cat([self.directions, more.directions], dim=1),
            torch.cat([self.unseen, more.unseen], dim=1),
            torch.cat([self.start, more.start]),
            torch.cat([self.geometry, more.geometry]),
            None if self.shown is None or more.shown is None else torch.cat([self.shown, more.shown], dim=1),
        )


class FastTransformer:
    """A `RayTransformer`'s computation with its consecutive linear maps multiplied out once for many rays.

    `recompute` keeps nothing of the layers for the backward pass, which computes them again. `kernels` are the
    functions to compute with, `layer` is `run_layer` or what it was compiled to.
    """

    @full_precision
    def __init__(
        self,
        network: RayTransformer,
        recompute: bool = False,
        kernels: Kernels = TORCH,
        layer: Callable[..., LayerOutput] | None = None,
    ) -> None:
        self.network = network
        self.recompute = recompute
        self.kernels = kernels
        self.layer = layer or run_layer
        self.folded = [fold_view_attention(view_block.attention) for view_block, _, _ in network.layers]
        width = network.norm.normalized_shape[0]
        firsts = [position_mlp.first for _, position_mlp, _ in network.layers if position_mlp is not None]
        # Of each position MLP's first layer: the columns that read position and direction, for all layers at once.
        columns = torch.cat([first.weight[:, width:] for first in firsts])
        self.of_position, self.of_direction = columns.chunk(2, dim=1)
        self.bias = torch.cat([first.bias for first in firsts])
        self.of_query = [first.weight[:, :width] for first in firsts]

    def tokens(
        self, sources: SampledSources, points: Float[Tensor, "samples rays 3"], directions: Float[Tensor, "rays 3"]
    ) -> SampleTokens:
        """What is known of samples on their own."""
        views = self.network.embed(sources.features)
        position = F.linear(encode_position(points), self.of_position)
        direction = F.linear(encode_direction(directions), self.of_direction, self.bias)
        return SampleTokens(
            views,
            F.pad(sources.relative_directions, (0, 1), value=1.0).to(views.dtype),
            (~sources.mask)[..., None].to(views.dtype),
            views.amax(dim=0),
            position + direction,
            sources.shown if self.network.blend else None,
        )

    def __call__(
        self, tokens: SampleTokens, semantics: bool = False, field: bool = False
    ) -> tuple[TransformerOutput, SemanticWeights | None]:
        """Render rays; with `semantics` also the weights of the semantic features, with `field` those of the field."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self._layers, tokens, semantics, field, use_reentrant=False)  # type: ignore[return-value]
        return self._layers(tokens, semantics, field)

    def _layers(
        self, tokens: SampleTokens, semantics: bool, field: bool
    ) -> tuple[TransformerOutput, SemanticWeights | None]:
        collapsed = CollapsedSemantics(field) if semantics else None
        network, (samples, rays) = self.network, tokens.start.shape[:2]
        # Rows of tokens: in-place operations on them need no copies for the backward pass, as views would.
        q = tokens.start.flatten(0, 1)
        added = zip(self.of_query, tokens.geometry.flatten(0, 1).chunk(len(self.of_query), dim=-1), strict=True)
        weights = view_attention = q.new_empty(0)
        for blocks, folded in zip(network.layers, self.folded, strict=True):
            position = None if blocks[1] is None else next(added)
            # What is computed again by layers need not be computed a third time.
            q, view_attention, ray_attention, nearest = self.layer(
                self.kernels, blocks, folded, position, q, tokens, self.recompute
            )
            if collapsed is not None:
                collapsed.add(view_attention, ray_attention)
            weights = nearest.mean(dim=1)
        ray_feature = self.kernels.layer_norm(network.norm, q).view(samples, rays, -1).mean(dim=0)
        rgb = network.rgb(ray_feature, weights.float(), view_attention, tokens.shown)
        output = TransformerOutput(rgb, weights.float(), ray_feature)
        return output, None if collapsed is None else collapsed.weights()


def run_layer(
    kernels: Kernels,
    blocks: tuple[ViewBlock, TwoLayers | None, RayBlock],
    folded: FoldedViewAttention,
    position: tuple[Tensor, Tensor] | None,
    q: Float[Tensor, "tokens width"],
    tokens: SampleTokens,
    save: bool,
) -> LayerOutput:
    """One layer for the queries q.

    `position` are what the position MLP's first layer does to queries, and what it makes of the geometry.
    """
    view_block, position_mlp, ray_block = blocks
    norm = kernels.layer_norm
    asked = F.linear(norm(view_block.attention_norm, q), folded.query.T)
    attended, view_attention = _over_views(kernels, view_block.attention, folded, asked, tokens, save)
    q = q + attended
    q = q + view_block.feed_forward(norm(view_block.feed_forward_norm, q))
    if position_mlp is not None and position is not None:
        of_query, geometry = position
        q = position_mlp.last(F.relu(F.linear(q, of_query) + geometry, inplace=True))
    attention, (samples, rays) = ray_block.attention, tokens.start.shape[:2]
    attended, ray_attention, nearest = kernels.ray_attention(
        attention, norm(ray_block.attention_norm, q), samples, rays
    )
    q = q + attention.dropout(attention.out(attended))
    q = q + ray_block.feed_forward(norm(ray_block.feed_forward_norm, q))
    return q, view_attention, ray_attention, nearest


def _over_views(
    kernels: Kernels,
    attention: ViewAttention,
    folded: FoldedViewAttention,
    query: Float[Tensor, "tokens hidden"],
    tokens: SampleTokens,
    save: bool,
) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "views samples rays width"]]:
    """Attended features, and the attention weights after dropout."""
    views = tokens.views
    places = F.relu(F.linear(tokens.directions.flatten(0, 2), folded.place.T), inplace=True)
    kept = None
    if attention.dropout.training and attention.dropout.p:
        kept = attention.dropout(torch.ones(views.shape, dtype=torch.float32, device=query.device)).flatten(1, 2)
    attended, weights = kernels.view_attention(
        query,
        views.flatten(1, 2),
        places.view(len(views), len(query), -1),
        tokens.unseen.flatten(1, 2),
        folded,
        kept,
        save,
    )
    return attention.dropout(attention.out(attended)), weights.view(views.shape)
