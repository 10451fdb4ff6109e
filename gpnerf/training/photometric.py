"""How badly the source views agree with a ray's colour at each sample: where its surface can be, without depth."""

import torch
from jaxtyping import Float
from torch import Tensor

from gpnerf import geometry
from gpnerf.models.projection import read_maps
from gpnerf.structures import Rays, SourceViews

_WORST = 3.0  # black against white, summed over three channels


@torch.no_grad()
def colour_mismatch(
    rays: Rays, z: Float[Tensor, "rays samples"], truth: Float[Tensor, "rays 3"], sources: SourceViews
) -> Float[Tensor, "rays samples"]:
    """Squared difference (summed over channels) between a ray's true colour and what the source views show there.

    Mean over the better half of the views, since an occluder hides a surface from some; a view that does not see the
    sample counts as the worst.
    """
    assert rays.camera is not None
    # As the target sees it, where coordinates are small.
    target, cameras = geometry.seen_from(rays.camera, sources.cameras, unit=1.0)
    points = geometry.points_on_rays(geometry.camera_rays(target, rays.pixels), z)
    pixels, in_front = geometry.project(points, cameras)
    height, width = cameras.height, cameras.width
    seen = in_front & geometry.inside_image(pixels, height, width)
    shown = read_maps(sources.images, geometry.normalised_pixels(pixels, height, width))
    error = (shown - truth.T[:, :, None]).square().sum(dim=1).where(seen, _WORST)
    return error.sort(dim=0).values[: -(-len(error) // 2)].mean(dim=0)
