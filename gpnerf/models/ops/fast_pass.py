"""One pass over rays with the re-associated network; a fine pass takes over what the coarse one knows of samples."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpnerf import geometry
from gpnerf.models.ops.fast_transformer import FastTransformer, SampleTokens
from gpnerf.models.projection import SourceMaps, sample_sources
from gpnerf.structures import RayOutput, Rays, Wanted


@dataclass(frozen=True)
class FastSamples:
    """Samples of rays, the nearest first and the others in any order.

    `grid`: where they lie in each source view, in `grid_sample` coordinates.
    """

    network: FastTransformer
    z: Float[Tensor, "rays samples"]
    tokens: SampleTokens
    grid: Float[Tensor, "views samples rays 2"]

    @classmethod
    def read(
        cls,
        network: FastTransformer,
        rays: Rays,
        z: Float[Tensor, "rays samples"],
        maps: SourceMaps,
        fine: bool = False,
    ) -> "FastSamples":
        """What the source views say about samples at depths z."""
        points = geometry.points_on_rays(rays, z).transpose(0, 1)
        sources = sample_sources(points, rays.origins, maps, fine)
        return cls(network, z, network.tokens(sources, points, rays.directions), sources.grid)

    def joined(self, more: "FastSamples") -> "FastSamples":
        """These samples, and farther or nearer ones of the same rays, none nearer than the first here."""
        return FastSamples(
            self.network,
            torch.cat([self.z, more.z], dim=1),
            self.tokens.joined(more.tokens),
            torch.cat([self.grid, more.grid], dim=1),
        )

    def render(self, maps: SourceMaps, wanted: Wanted) -> RayOutput:
        """The rays' outputs, samples sorted by depth."""
        adaptor = self.network.network.adaptor
        semantics = wanted.features and maps.semantic is not None and adaptor is not None
        with_field = wanted.field or wanted.reference is not None
        output, semantic_weights = self.network(self.tokens, semantics, with_field)
        z, order = self.z.sort(dim=1)
        weights = output.weights.gather(1, order)
        features = field = guidance = None
        if semantic_weights is not None and maps.semantic is not None and adaptor is not None:
            summed, field = self.network.kernels.weighted_read(maps.semantic, self.grid, *semantic_weights)
            features = adaptor(summed)
            if wanted.reference is not None and field is not None:
                guidance = geometry.cosine(field, wanted.reference).T.gather(1, order)
        return RayOutput(
            rgb=output.rgb,
            depth=(weights * z).sum(dim=-1),
            weights=weights,
            z=z,
            features=features,
            field=_by_depth(field, order) if wanted.field and field is not None else None,
            guidance=guidance,
            logits=self.network.network.logits(output.ray_feature),
        )


def _by_depth(field: Float[Tensor, "samples rays channels"], order: Tensor) -> Float[Tensor, "rays samples channels"]:
    return field.transpose(0, 1).take_along_dim(order[..., None], dim=1)
