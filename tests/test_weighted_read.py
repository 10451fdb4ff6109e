"""Weighted sums of what the semantic maps show, against `grid_sample` sample by sample and against plain operations."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gpnerf.models.ops import weighted_read as module
from gpnerf.models.ops.weighted_read import weighted_read, weighted_sums
from gpnerf.models.projection import read_maps

VIEWS, SAMPLES, RAYS, GROUPS, CHANNELS = 3, 4, 5, 4, 12
# Whole pixels beyond the border show nothing; parts of one fade out. The largest is a point on a camera's plane.
EDGES = torch.tensor([-1e6, -2.0, -1.3, -1.05, -1 - 1e-7, -1.0, -0.9999, 0.0, 0.5, 0.9999, 1.0, 1 + 1e-7, 1.2, 7e5])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def maps_of(rows: int = 5, cols: int = 7) -> Tensor:
    return random(VIEWS, CHANNELS, rows, cols)


def random_grid() -> Tensor:
    return 3 * torch.rand(VIEWS, SAMPLES, RAYS, 2, generator=torch.Generator().manual_seed(1)).double() - 1.5


def weights_of(grid: Tensor) -> tuple[Tensor, Tensor]:
    return random(*grid.shape[:3], GROUPS, seed=2), random(*grid.shape[:3], GROUPS, seed=3)


def loop(maps: Tensor, grid: Tensor, render_weights: Tensor, field_weights: Tensor) -> tuple[Tensor, Tensor]:
    """One bilinear look-up for every view, sample and ray."""
    views, samples, rays = grid.shape[:3]
    rendered, field = maps.new_zeros(rays, CHANNELS), maps.new_zeros(samples, rays, CHANNELS)
    group = torch.arange(CHANNELS) // (CHANNELS // GROUPS)
    for view in range(views):
        for sample in range(samples):
            for ray in range(rays):
                place = grid[view, sample, ray][None, None, None]
                seen = F.grid_sample(maps[view : view + 1], place, align_corners=True)[0, :, 0, 0]
                rendered[ray] += seen * render_weights[view, sample, ray, group]
                field[sample, ray] += seen * field_weights[view, sample, ray, group]
    return rendered, field


def edge_grid() -> Tensor:
    """Every pair of edge coordinates as samples of one ray, the same for all views."""
    x, y = torch.meshgrid(EDGES, EDGES, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(1, -1, 1, 2).expand(VIEWS, -1, 1, 2).double()


@pytest.fixture(params=["visible pixels", "whole grids"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read a view: on a CPU only where it is visible, elsewhere at every place."""

    def whole(maps: Tensor, grid: Tensor) -> Iterator[tuple[Tensor, None]]:
        for view in range(len(maps)):
            yield read_maps(maps[view : view + 1], grid[view : view + 1])[0].flatten(1).T, None

    if request.param == "whole grids":
        monkeypatch.setattr(module, "_read_views", whole)


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize(("rows", "cols"), [(5, 7), (1, 7), (5, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("grid", [random_grid(), edge_grid()], ids=["random", "edges"])
def test_it_equals_one_look_up_after_the_other(rows: int, cols: int, grid: Tensor) -> None:
    maps, weights = maps_of(rows, cols), weights_of(grid)
    for ours, expected in zip(weighted_read(maps, grid, *weights), loop(maps, grid, *weights), strict=True):
        assert torch.allclose(ours, expected, rtol=0, atol=1e-11) and bool(expected.any())


@pytest.mark.usefixtures("reading")
def test_what_no_view_shows_is_zero_and_gives_no_gradient() -> None:
    grid = torch.full((VIEWS, SAMPLES, RAYS, 2), 4.0).double()
    weights = [x.requires_grad_() for x in weights_of(grid)]
    outputs = weighted_read(maps_of(), grid, *weights)
    sum(x.square().sum() for x in outputs).backward()
    for tensor in (*outputs, *(x.grad for x in weights)):
        assert tensor.isfinite().all() and not tensor.any()


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("with_field", [True, False])
def test_gradients_of_the_weights_agree_with_finite_differences(with_field: bool) -> None:
    maps, grid = maps_of(), random_grid()
    weights = [x.requires_grad_() for x in weights_of(grid)[: 1 + with_field]]

    def read(*each: Tensor) -> tuple[Tensor, ...]:
        return tuple(x for x in weighted_read(maps, grid, *each, *[None] * (2 - len(each))) if x is not None)

    assert len(read(*weights)) == 1 + with_field
    assert torch.autograd.gradcheck(read, weights)


@pytest.mark.usefixtures("reading")
def test_the_rendered_sum_alone_may_be_learned_from() -> None:
    """The field is read but nothing depends on it, and the other way round."""
    maps, grid = maps_of(), random_grid()
    for chosen in (0, 1):
        weights = [x.requires_grad_() for x in weights_of(grid)]
        weighted_read(maps, grid, *weights)[chosen].square().sum().backward()
        used, unused = weights[chosen], weights[1 - chosen]
        assert bool(used.grad.any()) and (unused.grad is None or not unused.grad.any())


def test_maps_that_learn_are_given_the_gradients_of_plain_operations() -> None:
    grid = random_grid()
    learning = maps_of().requires_grad_()
    weights = [x.requires_grad_() for x in weights_of(grid)]
    assert torch.autograd.gradcheck(weighted_read, (learning, grid, *weights))
    gradients = []
    for read in (weighted_read, loop):
        rendered, field = read(learning, grid, *weights)
        gradients.append(torch.autograd.grad(rendered.square().sum() + field.sin().sum(), [learning, *weights]))
    for ours, expected in zip(*gradients, strict=True):
        assert torch.allclose(ours, expected, atol=1e-11) and bool(expected.any())


@pytest.mark.parametrize("with_field", [True, False])
def test_both_ways_agree_in_float32(with_field: bool) -> None:
    grid, maps = random_grid().float(), maps_of().float()
    render_weights, field_weights = (x.float() for x in weights_of(grid))
    given = field_weights if with_field else None
    rendered, field = weighted_read(maps, grid, render_weights, given)
    plain, plain_field = weighted_sums(
        lambda view: read_maps(maps[view : view + 1], grid[view : view + 1])[0], render_weights, given
    )
    assert torch.allclose(rendered, plain, atol=5e-5)
    assert (field is None) == (plain_field is None) == (not with_field)
    if field is not None:
        assert field.shape == (SAMPLES, RAYS, CHANNELS) and torch.allclose(field, plain_field, atol=5e-5)


def test_neither_memory_order_nor_low_precision_of_the_maps_moves_a_sample() -> None:
    grid = random_grid().float()
    weights = [x.float() for x in weights_of(grid)]
    maps = maps_of().bfloat16()
    expected = weighted_read(maps.float(), grid, *weights)
    for same in (maps, maps.float().contiguous(memory_format=torch.channels_last)):
        for ours, theirs in zip(weighted_read(same, grid, *weights), expected, strict=True):
            assert torch.allclose(ours, theirs, atol=5e-5)


def test_nothing_that_was_read_is_kept_for_the_backward_pass() -> None:
    grid, maps = random_grid(), maps_of(2, 2)
    weights = [x.requires_grad_() for x in weights_of(grid)]
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        weighted_read(maps, grid, *weights)
    assert kept and max(kept) < RAYS * SAMPLES * CHANNELS
