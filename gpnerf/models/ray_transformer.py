"""The renderer's network: colour and weights of rays from what the source views say about their samples."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpnerf import geometry
from gpnerf.models.attention import RayBlock, TwoLayers, ViewBlock
from gpnerf.models.ops.semantic_gather import PlainSemantics
from gpnerf.models.projection import SampledSources

_OCTAVES = 10
_SMALLEST_SHARE = 1e-6  # a ray that no photo sees is black
_ENCODED = 3 * (1 + 2 * _OCTAVES)


@dataclass(frozen=True)
class TransformerOutput:
    """Colour, weights of the samples, and the ray feature (mean over samples) before the colour layer."""

    rgb: Float[Tensor, "rays 3"]
    weights: Float[Tensor, "rays samples"]
    ray_feature: Float[Tensor, "rays width"]


class RayTransformer(nn.Module):
    """Alternating view blocks (aggregate source views per sample) and ray blocks (aggregate samples).

    Args:
        width: channels C of every token.
        depth: pairs of view block and ray block.
        colour_features: channels of the encoder's colour map (RGB is added to them).
        semantic_channels: channels of the semantic features to adapt; None leaves the adaptor out.
        classes: outputs of per-ray label rendering; None leaves that layer out.
        adaptor_relu: end the adaptor with a ReLU (the paper's form).
        adaptor_identity: start the adaptor as an average over the layers, so that (but for a ReLU) rendered features
            are averages of the source views' features from the first step on.
        blend: a ray's colour is a mean of what the source views show, by the last layer's attentions, and the colour
            layer, which starts at zero, only corrects it; without, that layer alone makes it (the paper's form).
    """

    def __init__(
        self,
        width: int,
        depth: int,
        colour_features: int,
        semantic_channels: int | None = None,
        classes: int | None = None,
        heads: int = 4,
        dropout: float = 0.1,
        adaptor_relu: bool = True,
        adaptor_identity: bool = False,
        blend: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.blend = blend
        self.embed = TwoLayers(colour_features + 3, width, width)
        self.view_blocks = nn.ModuleList(ViewBlock(width, dropout) for _ in range(depth))
        # Only even layers take the position and direction in again.
        self.position_layers = nn.ModuleDict(
            {str(layer): TwoLayers(width + 2 * _ENCODED, width, width) for layer in range(0, depth, 2)}
        )
        self.ray_blocks = nn.ModuleList(RayBlock(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.colour = nn.Linear(width, 3)
        if blend:
            nn.init.zeros_(self.colour.weight)
            nn.init.zeros_(self.colour.bias)
        self.label = nn.Linear(width, classes) if classes else None
        self.adaptor: nn.Sequential | None = None
        if semantic_channels:
            linear = nn.Linear(semantic_channels, semantic_channels)
            if adaptor_identity:
                # What is rendered is a sum of one average for each layer.
                nn.init.eye_(linear.weight).data.div_(depth)
                nn.init.zeros_(linear.bias)
            self.adaptor = nn.Sequential(linear, nn.ReLU()) if adaptor_relu else nn.Sequential(linear)

    def forward(
        self,
        sources: SampledSources,
        points: Float[Tensor, "rays samples 3"],
        directions: Float[Tensor, "rays 3"],
        semantics: PlainSemantics | None = None,
    ) -> TransformerOutput:
        """Render rays by the definition; `semantics` is shown the attention of every layer."""
        # Rays first, as the formulas are written.
        features, relative, mask = (
            x.movedim((2, 1, 0), (0, 1, 2)).contiguous()
            for x in (sources.features, sources.relative_directions, sources.mask)
        )
        views = self.embed(features)
        q = views.max(dim=2).values
        direction = encode_direction(directions)[:, None].expand(-1, points.shape[1], -1)
        position = torch.cat([encode_position(points), direction], dim=-1)
        weights = view_attention = q.new_empty(0)
        for view_block, position_mlp, ray_block in self.layers:
            q, view_attention = view_block(q, views, relative, mask)
            if position_mlp is not None:
                q = position_mlp(torch.cat([q, position.to(q.dtype)], dim=-1))
            q, ray_attention = ray_block(q)
            if semantics is not None:
                semantics.add(view_attention, ray_attention)
            # The nearest sample's row of the last layer acts as the learned density.
            weights = ray_attention[:, :, 0].mean(dim=1)
        ray_feature = self.norm(q).mean(dim=1)
        rgb = self.rgb(ray_feature, weights.float(), view_attention.permute(2, 1, 0, 3), sources.shown)
        return TransformerOutput(rgb, weights.float(), ray_feature)

    def rgb(
        self,
        ray_feature: Float[Tensor, "rays width"],
        weights: Float[Tensor, "rays samples"],
        view_attention: Float[Tensor, "views samples rays width"],
        shown: Float[Tensor, "views samples rays 4"] | None,
    ) -> Float[Tensor, "rays 3"]:
        """Colours of rays; with `blend` the mean of what the photos show (`SampledSources.shown`) plus the colour
        layer's correction.

        The mean is weighted by w_s a_vs, with w the rays' weights and a the last view attention (its mean over
        channels), over the views v that see sample s: what no photo shows has no colour to take part with.
        """
        layer = self.colour(ray_feature).float()
        if not self.blend or shown is None:
            return layer
        shares = view_attention.float().mean(dim=-1) * weights.T
        summed = (shares[..., None] * shown).sum(dim=(0, 1))
        return layer + summed[:, :3] / summed[:, 3:].clamp(min=_SMALLEST_SHARE)

    @property
    def layers(self) -> list[tuple[ViewBlock, TwoLayers | None, RayBlock]]:
        """View block, position MLP (even layers only) and ray block of every layer."""
        mlps = dict(self.position_layers.items())
        positions = [mlps.get(str(layer)) for layer in range(len(self.ray_blocks))]
        return list(zip(self.view_blocks, positions, self.ray_blocks, strict=True))  # type: ignore[arg-type]

    def logits(self, ray_feature: Float[Tensor, "rays width"]) -> Float[Tensor, "rays classes"] | None:
        """Per-ray class logits of label rendering; None without it."""
        return None if self.label is None else self.label(ray_feature).float()


def encode_position(points: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points encoded"]:
    """Positional encoding of positions (metres)."""
    return geometry.positional_encoding(points, _OCTAVES)


def encode_direction(directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays encoded"]:
    """Positional encoding of the rays' unit directions."""
    return geometry.positional_encoding(directions / directions.norm(dim=-1, keepdim=True), _OCTAVES)
