"""The Triton ray attention equals its formula, in values and gradients."""

import pytest
import torch
from torch import Tensor
from triton_interpreter import agree, interpreted, needs_triton, on_every_device

pytestmark = needs_triton

# rays, heads, samples, dim: within one block, at its edge, several blocks of queries
SIZES = [(3, 2, 7, 4), (1, 1, 1, 1), (2, 3, 16, 16), (1, 2, 33, 5)]


def projected(sizes: tuple[int, ...], device: str) -> Tensor:
    """Queries, keys and values side by side, as a linear layer writes them."""
    rays, heads, samples, dim = sizes
    generator = torch.Generator().manual_seed(samples)
    return (2 * torch.randn(rays, samples, 3 * heads * dim, generator=generator)).to(device)


def reference(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    attention = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(dim=-1)
    return attention @ value, attention.mean(dim=2), attention[:, :, 0]


def with_gradients(kernel: bool, leaf: Tensor, sizes: tuple[int, ...], packed: bool = True) -> list[Tensor]:
    from gpnerf.models.ops.triton_ray_attention import ray_attention

    leaf = leaf.clone().requires_grad_()
    parts = [x.unflatten(-1, (sizes[1], -1)).transpose(1, 2) for x in leaf.chunk(3, dim=-1)]
    if not packed:
        parts[1] = parts[1].contiguous()
    results = ray_attention(*parts) if kernel else reference(*(x.float() for x in parts))
    loss = torch.zeros((), device=leaf.device)
    for power, result in enumerate(results, 1):
        pattern = torch.linspace(-1, 1, result.numel(), device=leaf.device).view(result.shape)
        loss = loss + (result.float() * pattern.pow(power)).sum() + result.float().square().sum()
    loss.backward()
    assert leaf.grad is not None
    return [*(x.detach() for x in results), leaf.grad]


@interpreted
@on_every_device
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("packed", [True, False])
def test_the_ray_attention_equals_its_formula(sizes: tuple[int, ...], packed: bool, device: str) -> None:
    leaf = projected(sizes, device)
    agree(*(with_gradients(kernel, leaf, sizes, packed) for kernel in (False, True)), bound=5e-5)


@interpreted
@on_every_device
@pytest.mark.slow
@pytest.mark.parametrize("samples", [65, 129, 256])
def test_many_samples_are_attended_to_in_several_blocks(samples: int, device: str) -> None:
    sizes = (2, 1, samples, 32)
    leaf = projected(sizes, device)
    agree(*(with_gradients(kernel, leaf, sizes) for kernel in (False, True)), bound=5e-5)


@interpreted
@on_every_device
def test_bfloat16_stays_within_its_precision(device: str) -> None:
    leaf = projected(SIZES[3], device).bfloat16()
    agree(*(with_gradients(kernel, leaf, SIZES[3]) for kernel in (False, True)), bound=2e-2)


@interpreted
@on_every_device
def test_large_scores_stay_finite(device: str) -> None:
    leaf = 1e4 * projected(SIZES[0], device)
    agree(*(with_gradients(kernel, leaf, SIZES[0]) for kernel in (False, True)), bound=5e-5)
