"""The Triton layer normalisation equals PyTorch's, in values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from triton_interpreter import agree, interpreted, needs_triton, on_every_device

pytestmark = needs_triton

# several dimensions, one number, several blocks, a width that fills no block
SIZES = [(3, 5, 64), (1, 1), (700, 16), (2, 7, 3, 19)]


def with_gradients(kernel: bool, leaves: list[Tensor], eps: float) -> list[Tensor]:
    from gpnerf.models.ops.triton_norm import layer_norm

    x, weight, bias = (leaf.clone().requires_grad_() for leaf in leaves)
    if kernel:
        result = layer_norm(x, weight, bias, eps)
    else:
        result = F.layer_norm(x.double(), x.shape[-1:], weight.double(), bias.double(), eps)
    pattern = torch.linspace(-1, 1, result.numel(), device=x.device).view_as(result)
    (result.float() * pattern + 0.1 * result.float().square()).mean().backward()
    found = [leaf.grad for leaf in (x, weight, bias)]
    return [result.detach(), *(gradient * x.numel() ** 0.5 for gradient in found if gradient is not None)]


def leaves(shape: tuple[int, ...], device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(shape[-1])
    shapes = (shape, shape[-1:], shape[-1:])
    return [(torch.randn(*size, generator=generator) + 0.5).to(device) for size in shapes]


@interpreted
@on_every_device
@pytest.mark.parametrize("shape", SIZES)
def test_the_layer_norm_equals_that_of_pytorch(shape: tuple[int, ...], device: str) -> None:
    given = leaves(shape, device)
    # The true gradient of a row of one number is 0; a GPU's fused rounding leaves 1e-7, times 1 / sqrt(eps).
    eps = 1e-6 if shape[-1] > 1 else 1e-2
    agree(*(with_gradients(kernel, given, eps) for kernel in (False, True)), bound=5e-5)


@interpreted
@on_every_device
def test_more_blocks_than_programs_are_shared_among_them(device: str) -> None:
    from gpnerf.models.ops import triton_norm

    given, most = leaves((700, 16), device), triton_norm._PROGRAMS
    triton_norm._PROGRAMS = 2
    try:
        agree(*(with_gradients(kernel, given, 1e-6) for kernel in (False, True)), bound=5e-5)
    finally:
        triton_norm._PROGRAMS = most


@interpreted
@on_every_device
def test_rows_in_any_layout_and_constant_rows(device: str) -> None:
    from gpnerf.models.ops.triton_norm import layer_norm

    x, weight, bias = leaves((6, 5, 8), device)
    turned = x.transpose(0, 1)
    assert torch.allclose(
        layer_norm(turned, weight, bias, 1e-6), F.layer_norm(turned, (8,), weight, bias, 1e-6), atol=5e-5
    )
    constant = torch.full_like(x, 3.0)
    assert torch.allclose(layer_norm(constant, weight, bias, 1e-6), bias.expand_as(x), atol=5e-5)


@interpreted
@on_every_device
def test_bfloat16_stays_within_its_precision(device: str) -> None:
    given = [x.bfloat16() for x in leaves((3, 5, 64), device)]
    agree(*(with_gradients(kernel, given, 1e-6) for kernel in (False, True)), bound=2e-2)
