"""The Triton gather equals `grid_sample` and a weighted sum, in values and gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from triton_interpreter import agree, interpreted, needs_triton, on_every_device

pytestmark = needs_triton

# rays, samples, views, rows, cols, groups, channels per group
SIZES = [(7, 3, 5, 4, 6, 8, 8), (1, 1, 1, 1, 1, 1, 1), (2, 2, 1, 3, 2, 5, 3), (3, 1, 2, 2, 5, 3, 300)]


def inputs(rays: int, samples: int, views: int, rows: int, cols: int, groups: int, size: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(rays + 10 * views)
    maps = torch.randn(views, rows, cols, groups * size, generator=generator)
    grid = 3 * torch.rand(views, rays, samples, 2, generator=generator) - 1.5
    # Corners, edges, one pixel outside, and far away.
    places = [-1.0, 1.0, 0.0, -1 - 2 / max(cols - 1, 1), 1 + 2 / max(rows - 1, 1), 1e30, -math.inf, 1 + 1e-6]
    flat = grid.view(-1)
    flat[: len(places)] = torch.tensor(places)[: flat.numel()]
    return maps, grid, torch.randn(rays, samples, views, groups, generator=generator)


def reference(maps: Tensor, grid: Tensor, weights: Tensor) -> Tensor:
    """The field, view by view."""
    read = F.grid_sample(maps.permute(0, 3, 1, 2), grid.clamp(-1e6, 1e6), align_corners=True)
    size = maps.shape[-1] // weights.shape[-1]
    return torch.einsum("icrj,rjic->rjc", read, weights.repeat_interleave(size, dim=-1))


@interpreted
@on_every_device
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("summed", [True, False])
def test_the_gather_equals_grid_sample_with_its_gradients(sizes: tuple[int, ...], summed: bool, device: str) -> None:
    from gpnerf.models.ops.triton_gather import gathered_field, weighted_gather

    maps, grid, weights = (x.to(device) for x in inputs(*sizes))
    results = []
    for kernel in (False, True):
        leaves = [maps.clone().requires_grad_(), weights.clone().requires_grad_()]
        if kernel:
            result = (weighted_gather if summed else gathered_field)(leaves[0], grid, leaves[1])
        else:
            field = reference(leaves[0], grid, leaves[1])
            result = field.sum(dim=1) if summed else field
        pattern = torch.linspace(-1, 1, result.numel(), device=device).view_as(result)
        (result * pattern + result.square()).sum().backward()
        results.append([result.detach(), *(x.grad for x in leaves if x.grad is not None)])
    agree(*results, bound=5e-5)


@interpreted
@on_every_device
def test_a_point_between_four_pixels_reads_their_mean_and_one_on_a_pixel_that_pixel(device: str) -> None:
    from gpnerf.models.ops.triton_gather import weighted_gather

    maps = torch.arange(12.0, device=device).view(1, 3, 4, 1)
    places = [(-1.0, -1.0), (1.0, 1.0), (-1 / 3, 0.0), (0.0, 0.5), (1 + 1 / 3, 1.0), (1 + 2 / 3, 0.0)]
    grid = torch.tensor(places, device=device).view(1, len(places), 1, 2)
    read = weighted_gather(maps, grid, torch.ones(len(places), 1, 1, 1, device=device))
    expected = torch.tensor([0.0, 11.0, 5.0, (5 + 6 + 9 + 10) / 4, 11.0 / 2, 0.0], device=device)
    assert torch.allclose(read[:, 0], expected, atol=5e-5)


@interpreted
@on_every_device
def test_points_without_a_place_show_nothing_and_move_nothing(device: str) -> None:
    from gpnerf.models.ops.triton_gather import gathered_field

    maps, grid, weights = (x.to(device) for x in inputs(*SIZES[0]))
    grid = torch.full_like(grid, math.nan)
    grid[0] = math.inf
    leaves = [maps.requires_grad_(), weights.requires_grad_()]
    field = gathered_field(leaves[0], grid, leaves[1])
    field.sum().backward()
    assert not bool(field.any())
    assert all(x.grad is not None and not bool(x.grad.any()) for x in leaves)


@interpreted
@on_every_device
def test_bfloat16_maps_are_read_to_their_precision_at_exact_places(device: str) -> None:
    from gpnerf.models.ops.triton_gather import weighted_gather

    maps, grid, weights = (x.to(device) for x in inputs(*SIZES[0]))
    rounded = maps.bfloat16()
    results = []
    for kernel in (False, True):
        leaves = [rounded.clone().requires_grad_(), weights.clone().requires_grad_()]
        if kernel:
            result = weighted_gather(leaves[0], grid, leaves[1])
        else:
            result = reference(leaves[0].float(), grid, leaves[1]).sum(dim=1)
        result.square().sum().backward()
        gradients = [x.grad for x in leaves if x.grad is not None]
        results.append([result.detach(), *gradients])
    # Only the maps' gradient is rounded.
    agree([results[0][i] for i in (0, 2)], [results[1][i] for i in (0, 2)], bound=5e-5)
    agree([results[0][1]], [results[1][1]], bound=2**-8)
