"""The Triton view attention equals its formula, in values and gradients."""

import pytest
import torch
from torch import Tensor
from triton_interpreter import agree, interpreted, needs_triton, on_every_device

pytestmark = needs_triton

# rays, samples, views, width: rows and columns that fill a block, and ones that do not
SIZES = [(7, 5, 5, 16), (1, 1, 1, 8), (2, 16, 3, 32), (3, 1, 2, 24)]


def inputs(sizes: tuple[int, ...], device: str) -> tuple[list[Tensor], Tensor]:
    rays, samples, views, width = sizes
    generator = torch.Generator().manual_seed(width + views)
    shapes = [(*sizes[:3], width + width // 8), (rays, samples, width // 8), (width, width // 8)]
    projected, query, weight = (torch.randn(*shape, generator=generator) for shape in shapes)
    mask = torch.rand(rays, samples, views, generator=generator) > 0.4
    mask[0, 0] = False
    mask[-1, -1] = rays * samples > 1
    return [x.to(device) for x in (projected, query, 3 * weight)], mask.to(device)


def reference(values: Tensor, pre: Tensor, query: Tensor, weight: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    scores = torch.relu(pre - query[:, :, None]) @ weight.T
    attention = scores.masked_fill(~mask[..., None], -1e9).softmax(dim=2)
    return (attention * values).sum(dim=2), attention


def with_gradients(kernel: bool, leaves: list[Tensor], mask: Tensor, heed: tuple[bool, bool]) -> list[Tensor]:
    """Both results, and the gradients of a mixture of those to heed."""
    from gpnerf.models.ops.triton_attention import view_attention

    projected, query, weight = (x.clone().requires_grad_() for x in leaves)
    values, pre = projected.split([weight.shape[0], query.shape[-1]], dim=-1)
    if kernel:
        attended, attention = view_attention(values, pre, query, weight, mask)
    else:
        attended, attention = reference(values.float(), pre.float(), query.float(), weight.float(), mask)
    assert attention is not None
    loss = attended.float().square().sum() * heed[0]
    if heed[1]:
        pattern = torch.linspace(-1, 1, attention.numel(), device=attention.device).view_as(attention)
        loss = loss + (attention * pattern).sum()
    loss.backward()
    found = [x.grad for x in (projected, query, weight)]
    return [attended.detach(), attention.detach(), *(x for x in found if x is not None)]


@interpreted
@on_every_device
@pytest.mark.parametrize("sizes", SIZES)
def test_the_view_attention_equals_its_formula_with_its_gradients(sizes: tuple[int, ...], device: str) -> None:
    leaves, mask = inputs(sizes, device)
    agree(*(with_gradients(kernel, leaves, mask, (True, True)) for kernel in (False, True)), bound=5e-5)


@interpreted
@on_every_device
@pytest.mark.parametrize("heed", [(True, False), (False, True)])
def test_either_result_alone_gives_its_gradients(heed: tuple[bool, bool], device: str) -> None:
    leaves, mask = inputs(SIZES[0], device)
    agree(*(with_gradients(kernel, leaves, mask, heed) for kernel in (False, True)), bound=5e-5)


@interpreted
@on_every_device
def test_bfloat16_stays_within_its_precision(device: str) -> None:
    leaves, mask = inputs(SIZES[0], device)
    rounded = [x.bfloat16() for x in leaves]
    agree(*(with_gradients(kernel, rounded, mask, (True, True)) for kernel in (False, True)), bound=2e-2)


@interpreted
@on_every_device
def test_a_sample_that_no_view_sees_weighs_all_views_alike_and_moves_no_score(device: str) -> None:
    from gpnerf.models.ops.triton_attention import view_attention

    (projected, query, weight), mask = inputs(SIZES[0], device)
    views = mask.shape[2]
    pre, query = projected[..., weight.shape[0] :].clone().requires_grad_(), query.requires_grad_()
    values = projected[..., : weight.shape[0]]
    attended, attention = view_attention(values, pre, query, weight, torch.zeros_like(mask))
    assert attention is not None
    assert torch.allclose(attention, torch.full_like(attention, 1 / views), atol=5e-5)
    assert torch.allclose(attended, values.mean(dim=2), atol=5e-5)
    attended.square().sum().backward()
    assert pre.grad is not None and not bool(pre.grad.any())
    assert query.grad is not None and not bool(query.grad.any())


@interpreted
@on_every_device
def test_the_attention_is_left_out_where_it_is_not_wanted(device: str) -> None:
    from gpnerf.models.ops.triton_attention import view_attention

    (projected, query, weight), mask = inputs(SIZES[0], device)
    parts = projected.split([weight.shape[0], query.shape[-1]], dim=-1)
    attended, attention = view_attention(*parts, query, weight, mask, want_attention=False)
    assert attention is None
    assert torch.equal(attended, view_attention(*parts, query, weight, mask)[0])
