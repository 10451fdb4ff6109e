"""Coarse and fine passes over a set of rays."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from gpnerf import geometry, sampling
from gpnerf.models.ops.fast_pass import FastSamples
from gpnerf.models.ops.fast_transformer import FastTransformer, LayerOutput, run_layer
from gpnerf.models.ops.torch_kernels import TORCH
from gpnerf.models.plain_pass import plain_pass
from gpnerf.models.projection import SourceMaps
from gpnerf.models.ray_transformer import RayTransformer
from gpnerf.structures import NOTHING, PositionFrame, RayOutput, Rays, Wanted

# On a CPU tokens of so many bytes stay in the caches from one operation to the next.
_CACHED_BYTES = 3_000_000
_FLOAT_BYTES = 4
# Numbers alive at once, in token widths: per sample and view (the plain form keeps three copies of the semantic
# features, eight widths each), and per sample; beside them the attention between samples.
_FAST_COPIES, _PLAIN_COPIES, _SAMPLE_COPIES = 8, 30, 14

_Outputs = tuple[RayOutput, RayOutput | None]


class RayRenderer(nn.Module):
    """Renders rays from encoded source views.

    Args:
        coarse: network of the coarse pass, and of the fine pass too unless `fine` is given.
        fine: separate network of the fine pass.
        samples: coarse samples per ray.
        importance: further samples of the fine pass; 0 leaves the fine pass out.
        inverse: spread samples evenly in inverse depth.
        plain: compute by the formulas as written (the reference, slow) instead of re-associated.
        recompute: keep no activations of the networks for the backward pass, which computes them again.
        position_frame: `camera` shows the networks everything in the target camera's axes, with `far` as the unit of
            length, so that outputs do not change when the scene is moved, turned or measured in another unit;
            `world` shows positions as the data has them (the paper's form).

    `kernels` are the functions to compute with and `layer` one layer of the network; others may take their places.
    """

    def __init__(
        self,
        coarse: RayTransformer,
        fine: RayTransformer | None,
        samples: int,
        importance: int,
        inverse: bool,
        plain: bool = False,
        recompute: bool = False,
        position_frame: PositionFrame = "world",
    ) -> None:
        super().__init__()
        self.coarse = coarse
        self.fine = fine
        self.samples = samples
        self.importance = importance
        self.inverse = inverse
        self.plain = plain
        self.recompute = recompute
        self.position_frame: PositionFrame = position_frame
        self.kernels = TORCH
        self.layer: Callable[..., LayerOutput] = run_layer

    def forward(
        self,
        rays: Rays,
        maps: SourceMaps,
        near: float,
        far: float,
        wanted: Wanted = NOTHING,
        generator: torch.Generator | None = None,
    ) -> tuple[RayOutput, RayOutput | None]:
        """Outputs of the coarse and the fine pass; the last one carries the semantics that are `wanted`.

        A `generator` (on the rays' device) jitters the samples, as training does; without one they are fixed.
        """
        if self.position_frame == "world":
            return self._passes(rays, maps, near, far, wanted, generator)
        assert rays.camera is not None, "rays without their camera have no axes to be seen in"
        target, sources = geometry.seen_from(rays.camera, maps.cameras, unit=far)
        coarse, fine = self._passes(
            geometry.camera_rays(target, rays.pixels),
            replace(maps, cameras=sources),
            near / far,
            1.0,
            wanted,
            generator,
        )
        return coarse.scaled(far), None if fine is None else fine.scaled(far)

    def _passes(
        self, rays: Rays, maps: SourceMaps, near: float, far: float, wanted: Wanted, generator: torch.Generator | None
    ) -> _Outputs:
        """Both passes in the frame that rays and source cameras are given in."""
        count, device = len(rays.origins), rays.origins.device
        jitter = _uniform(count, self.samples, device, generator)
        z = sampling.coarse_depths(count, near, far, self.samples, self.inverse, jitter, device)
        uniform = _uniform(count, self.importance, device, generator)
        if self.plain:
            return self._plain(rays, z, uniform, maps, wanted)
        coarse = self._network(self.coarse)
        fine = coarse if self.fine is None else self._network(self.fine)
        render = partial(self._fast, coarse, fine, maps)
        size = self._block_size(len(maps.images)) if device.type == "cpu" else count
        blocks = [slice(start, start + size) for start in range(0, count, size)]
        outputs = [render(rays[b], z[b], None if uniform is None else uniform[b], wanted[b]) for b in blocks]
        coarse_outputs, fine_outputs = zip(*outputs, strict=True)
        return RayOutput.joined(coarse_outputs), RayOutput.joined(fine_outputs) if self.importance else None

    def _plain(self, rays: Rays, z: Tensor, uniform: Tensor | None, maps: SourceMaps, wanted: Wanted) -> _Outputs:
        coarse = plain_pass(self.coarse, rays, z, maps, wanted, fine=False)
        if not self.importance:
            return coarse, None
        z = sampling.fine_depths(z, coarse.weights, self.importance, self.inverse, uniform)
        return coarse, plain_pass(self.fine or self.coarse, rays, z, maps, wanted, fine=True)

    def _fast(
        self,
        coarse_network: FastTransformer,
        fine_network: FastTransformer,
        maps: SourceMaps,
        rays: Rays,
        z: Tensor,
        uniform: Tensor | None,
        wanted: Wanted,
    ) -> _Outputs:
        samples = FastSamples.read(coarse_network, rays, z, maps)
        coarse = samples.render(maps, NOTHING if self.importance else wanted)
        if not self.importance:
            return coarse, None
        more = sampling.importance_depths(z, coarse.weights, self.importance, self.inverse, uniform)
        if fine_network is coarse_network:
            samples = samples.joined(FastSamples.read(fine_network, rays, more, maps))
        else:
            samples = FastSamples.read(fine_network, rays, torch.cat([z, more], dim=1), maps, fine=True)
        return coarse, samples.render(maps, wanted)

    def _network(self, network: RayTransformer) -> FastTransformer:
        return FastTransformer(network, self.recompute, self.kernels, self.layer)

    def bytes_per_ray(self, views: int) -> int:
        """About how much memory rendering a ray takes, semantics included and all rays at once (estimated)."""
        samples, width = self.samples + self.importance, self.coarse.norm.normalized_shape[0]
        of_pair = _PLAIN_COPIES if self.plain else _FAST_COPIES
        of_sample = _SAMPLE_COPIES * width + 2 * self.coarse.heads * samples
        return _FLOAT_BYTES * samples * (views * of_pair * width + of_sample)

    def _block_size(self, views: int) -> int:
        """Rays that a CPU renders together; what is rendered does not depend on it."""
        width = self.coarse.norm.normalized_shape[0]
        # Computing again has a cost for every block, which fewer of them pay less often.
        cached = _CACHED_BYTES * (2 if self.recompute and torch.is_grad_enabled() else 1)
        return max(1, cached // (_FLOAT_BYTES * width * views * (self.samples + self.importance)))


def _uniform(rays: int, samples: int, device: torch.device, generator: torch.Generator | None) -> Tensor | None:
    if generator is None or not samples:
        return None
    return torch.rand(rays, samples, device=device, generator=generator)
