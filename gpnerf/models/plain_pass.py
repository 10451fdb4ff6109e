"""One pass over rays by the formulas as written: the reference that the fast pass is held against."""

import torch
from jaxtyping import Float
from torch import Tensor

from gpnerf import geometry
from gpnerf.models.ops.semantic_gather import PlainSemantics
from gpnerf.models.projection import SourceMaps, sample_sources
from gpnerf.models.ray_transformer import RayTransformer
from gpnerf.structures import RayOutput, Rays, Wanted


def plain_pass(
    network: RayTransformer, rays: Rays, z: Float[Tensor, "rays samples"], maps: SourceMaps, wanted: Wanted, fine: bool
) -> RayOutput:
    """Render rays at depths z; semantics, where wanted, go through every layer at every sample and view."""
    points = geometry.points_on_rays(rays, z)
    sources = sample_sources(points.transpose(0, 1), rays.origins, maps, fine)
    carried = None
    if wanted.features and maps.semantic is not None and network.adaptor is not None:
        every = [sources.semantics(view).permute(2, 1, 0) for view in range(len(maps.semantic))]
        carried = PlainSemantics(torch.stack(every, dim=2))
    output = network(sources, points, rays.directions, carried)
    features = field = guidance = None
    if carried is not None and network.adaptor is not None:
        summed, field = carried.result()
        features = network.adaptor(summed)
        if wanted.reference is not None:
            guidance = geometry.cosine(field, wanted.reference[:, None])
    return RayOutput(
        rgb=output.rgb,
        depth=(output.weights * z).sum(dim=-1),
        weights=output.weights,
        z=z,
        features=features,
        field=field if wanted.field else None,
        guidance=guidance,
        logits=network.logits(output.ray_feature),
    )
