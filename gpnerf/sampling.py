"""Where to put samples on a ray: even coarse depths, then more where the coarse weights are."""

import torch
from jaxtyping import Float
from torch import Tensor

_WEIGHT_FLOOR = 1e-5
_SMALLEST_MASS = 1e-5


def coarse_depths(
    rays: int,
    near: float,
    far: float,
    samples: int,
    inverse: bool,
    jitter: Float[Tensor, "rays samples"] | None = None,
    device: torch.device | None = None,
) -> Float[Tensor, "rays samples"]:
    """Depths (metres) evenly spaced between near and far, in depth or (`inverse`) in inverse depth.

    `jitter`, uniform numbers in [0, 1), moves each sample inside its interval; the intervals end at the mid-points
    between neighbouring depths. A single sample lies at near.
    """
    # Start + i * step in float32, as the released weights were trained: the position encoding's highest octave
    # multiplies a rounding of these by 512.
    start, end = (torch.full((), depth, device=device) for depth in (near, far))
    if inverse:
        start, end = 1 / start, 1 / end
    even = start + torch.arange(samples, device=device) * ((end - start) / max(samples - 1, 1))
    z = (1 / even if inverse else even).expand(rays, samples)
    if jitter is None:
        return z
    middle = (z[:, 1:] + z[:, :-1]) / 2
    lower = torch.cat([z[:, :1], middle], dim=-1)
    upper = torch.cat([middle, z[:, -1:]], dim=-1)
    return lower + (upper - lower) * jitter


def fine_depths(
    z: Float[Tensor, "rays coarse"],
    weights: Float[Tensor, "rays coarse"],
    samples: int,
    inverse: bool,
    uniform: Float[Tensor, "rays fine"] | None = None,
) -> Float[Tensor, "rays all"]:
    """The coarse depths and `samples` more where the coarse weights are large (`importance_depths`), sorted."""
    return torch.cat([z, importance_depths(z, weights, samples, inverse, uniform)], dim=-1).sort(dim=-1).values


def importance_depths(
    z: Float[Tensor, "rays coarse"],
    weights: Float[Tensor, "rays coarse"],
    samples: int,
    inverse: bool,
    uniform: Float[Tensor, "rays fine"] | None = None,
) -> Float[Tensor, "rays fine"]:
    """Depths drawn where the coarse weights are large; none is nearer than the nearest coarse depth.

    `uniform` are the numbers in [0, 1) that are turned into samples; by default linspace(0, 1, samples).
    Weights of the first and last sample are left out; no gradient flows to them.
    """
    inner = weights.detach()[:, 1:-1]
    if uniform is None:
        uniform = torch.linspace(0, 1, samples, device=z.device).expand(len(z), samples)
    if inverse:
        disparity = 1 / z
        middle = (disparity[:, 1:] + disparity[:, :-1]) / 2
        # The cumulative distribution runs over ascending bins, hence from far to near.
        return 1 / inverse_transform(middle.flip(1), inner.flip(1), uniform)
    return inverse_transform((z[:, 1:] + z[:, :-1]) / 2, inner, uniform)


def inverse_transform(
    edges: Float[Tensor, "rays bins_plus_1"],
    weights: Float[Tensor, "rays bins"],
    uniform: Float[Tensor, "rays samples"],
) -> Float[Tensor, "rays samples"]:
    """Samples of the piecewise-constant density `weights` over the bins between `edges`, by inverting its CDF.

    Each weight is raised by 1e-5; inside a bin of less than 1e-5 mass the position is not interpolated.
    """
    raised = weights + _WEIGHT_FLOOR
    mass = raised / raised.sum(dim=-1, keepdim=True)
    cumulative = torch.cat([torch.zeros_like(mass[:, :1]), mass.cumsum(dim=-1)], dim=-1)
    # Number of bins that start at or before u; the last bin also takes u = 1.
    above = torch.searchsorted(cumulative[:, :-1].contiguous(), uniform.contiguous(), right=True)
    below = (above - 1).clamp(min=0)
    low, high = cumulative.gather(1, below), cumulative.gather(1, above)
    width = high - low
    inside = (uniform - low) / torch.where(width < _SMALLEST_MASS, 1.0, width)
    left, right = edges.gather(1, below), edges.gather(1, above)
    return left + inside * (right - left)
