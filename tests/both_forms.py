"""The renderer's network in its plain and its fast form on the same inputs, with outputs laid out alike, rays first."""

import torch
from torch import Tensor, nn

from gpnerf.models.ops.fast_transformer import FastTransformer
from gpnerf.models.ops.semantic_gather import PlainSemantics
from gpnerf.models.ops.weighted_read import weighted_sums
from gpnerf.models.projection import SampledSources
from gpnerf.models.ray_transformer import RayTransformer, TransformerOutput


def run_network(
    network: RayTransformer, sources: SampledSources, points: Tensor, directions: Tensor, plain: bool
) -> tuple[TransformerOutput, Tensor, Tensor]:
    """The network's output, the rendered sums of semantic features, and the field [rays, samples, channels].

    `points` are [rays, samples, 3].
    """
    if plain:
        every = [sources.semantics(view).permute(2, 1, 0) for view in range(len(sources.mask))]
        carried = PlainSemantics(torch.stack(every, dim=2))
        return network(sources, points, directions, carried), *carried.result()
    fast = FastTransformer(network)
    tokens = fast.tokens(sources, points.transpose(0, 1), directions)
    output, weights = fast(tokens, semantics=True, field=True)
    assert weights is not None
    rendered, field = weighted_sums(sources.semantics, *weights)
    assert field is not None
    return output, rendered, field.transpose(0, 1)


class SharedDropout(nn.Dropout):
    """Drops the same activations in both forms, whose tensors are laid out differently.

    Needs another number of views than of rays.
    """

    def __init__(self, p: float, rays: int, samples: int, seed: int) -> None:
        super().__init__(p)
        self.rays, self.samples, self.seed = rays, samples, seed

    def forward(self, x: Tensor) -> Tensor:
        return x * self._kept(tuple(x.shape)).to(x.dtype) if self.training else x

    def _kept(self, shape: tuple[int, ...]) -> Tensor:
        if len(shape) == 2:  # rows of tokens, samples first
            return self._random(self.rays, self.samples, shape[1]).transpose(0, 1).flatten(0, 1)
        if shape[0] == self.rays:  # all of the plain form
            return self._random(*shape)
        if len(shape) == 4:  # views first
            views, samples, rays, width = shape
            return self._random(rays, samples, views, width).permute(2, 1, 0, 3)
        return self._random(self.rays, shape[0] // self.rays, *shape[1:]).flatten(0, 1)  # rays and heads in one

    def _random(self, *shape: int) -> Tensor:
        uniform = torch.rand(*shape, generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64)
        return (uniform >= self.p) / (1 - self.p)


def share_dropout(module: nn.Module, rays: int, samples: int) -> None:
    """Replace every dropout by one that drops the same in both forms."""
    for seed, parent in enumerate(list(module.modules())):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, SharedDropout(child.p, rays, samples, seed))
