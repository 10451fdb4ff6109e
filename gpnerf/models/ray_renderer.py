"""Coarse and fine passes over a set of rays."""

import torch
from torch import Tensor, nn

from gpnerf import geometry, sampling
from gpnerf.models.ops.semantic_gather import CollapsedSemantics, PlainSemantics, SemanticAccumulator
from gpnerf.models.projection import SampledSources, SourceMaps, sample_sources
from gpnerf.models.ray_transformer import RayTransformer
from gpnerf.structures import RayOutput, Rays


class RayRenderer(nn.Module):
    """Renders rays from encoded source views.

    Args:
        coarse: network of the coarse pass, and of the fine pass too unless `fine` is given.
        fine: separate network of the fine pass.
        samples: coarse samples per ray.
        importance: further samples of the fine pass; 0 leaves the fine pass out.
        inverse: spread samples evenly in inverse depth.
    """

    def __init__(
        self, coarse: RayTransformer, fine: RayTransformer | None, samples: int, importance: int, inverse: bool
    ) -> None:
        super().__init__()
        self.coarse = coarse
        self.fine = fine
        self.samples = samples
        self.importance = importance
        self.inverse = inverse

    def forward(
        self,
        rays: Rays,
        maps: SourceMaps,
        near: float,
        far: float,
        semantics: bool = True,
        field: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[RayOutput, RayOutput | None]:
        """Outputs of the coarse and the fine pass; the last one carries semantics.

        A `generator` (on the rays' device) jitters the samples, as training does; without one they are fixed.
        `field` also asks for the semantic features of every sample.
        """
        count, device = len(rays.origins), rays.origins.device
        jitter = _uniform(count, self.samples, device, generator)
        z = sampling.coarse_depths(count, near, far, self.samples, self.inverse, jitter, device)
        last = self.importance == 0
        coarse = self._render(self.coarse, rays, z, maps, semantics and last, field and last, fine=False)
        if last:
            return coarse, None
        uniform = _uniform(count, self.importance, device, generator)
        z = sampling.fine_depths(z, coarse.weights, self.importance, self.inverse, uniform)
        network = self.coarse if self.fine is None else self.fine
        return coarse, self._render(network, rays, z, maps, semantics, field, fine=True)

    def _render(
        self, network: RayTransformer, rays: Rays, z: Tensor, maps: SourceMaps, semantics: bool, field: bool, fine: bool
    ) -> RayOutput:
        points = geometry.points_on_rays(rays, z)
        sources = sample_sources(points, rays.origins, maps, fine)
        carried = _accumulator(network, sources, field) if semantics and maps.semantic is not None else None
        output = network(sources, points, rays.directions, carried)
        features = volume = None
        if carried is not None:
            summed, volume = carried.result()
            features = network.adaptor(summed)
        return RayOutput(
            rgb=output.rgb,
            depth=(output.weights * z).sum(dim=-1),
            weights=output.weights,
            z=z,
            features=features,
            field=volume,
            logits=network.label(output.ray_feature).float() if network.label is not None else None,
        )


def _accumulator(network: RayTransformer, sources: SampledSources, field: bool) -> SemanticAccumulator:
    return (PlainSemantics if network.plain else CollapsedSemantics)(sources, field)


def _uniform(rays: int, samples: int, device: torch.device, generator: torch.Generator | None) -> Tensor | None:
    if generator is None:
        return None
    return torch.rand(rays, samples, device=device, generator=generator)
