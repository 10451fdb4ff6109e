"""Feature cells of pixels and the insertion of rendered features, against loops and the golden index tables."""

import pytest
import torch
from golden_files import Golden, assert_close
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gpnerf.geometry import pixel_grid
from gpnerf.models.feature_map import feature_cells, insert_cells, read_cells

GUIDED = "06_distill_and_dgs"


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (1, 1)])
def test_cells_are_blocks_of_two_by_two_pixels(height: int, width: int) -> None:
    grid_width = (width + 1) // 2
    expected = [(v // 2) * grid_width + u // 2 for v in range(height) for u in range(width)]
    assert feature_cells(pixel_grid(height, width), width, grid_width).tolist() == expected


def golden_map(golden: Golden) -> Tensor:
    return golden.hashed(golden.meta["deep_feats"])[0]


def golden_cells(golden: Golden, flat: Tensor) -> Tensor:
    grid_width = golden_map(golden).shape[-1]
    width = 2 * grid_width
    return feature_cells(torch.stack([flat % width, flat // width], dim=-1), width, grid_width, "release")


def test_released_cells_golden() -> None:
    golden = Golden(GUIDED)
    assert torch.equal(golden_cells(golden, golden["index/in"]), golden["index/out"])
    assert torch.equal(golden_cells(golden, golden["in/select_inds"]), golden["out/mapped_select_inds"])


def test_features_read_at_released_cells_golden() -> None:
    golden = Golden(GUIDED)
    features = golden_map(golden)
    read = read_cells(features, golden_cells(golden, golden["in/select_inds"]))
    expected = golden["out/novel_feats_sub"]
    rows, columns = (-(-n // m) for n, m in zip(read.shape, expected.shape, strict=True))
    assert_close(read[::rows, ::columns], expected, 1e-6)


def loop_insert(features: Tensor, rendered: Tensor, cells: list[int]) -> Tensor:
    flat = features.flatten(1).clone()
    seen = set()
    for ray, cell in enumerate(cells):
        place = cell % flat.shape[1]
        if place not in seen:
            flat[:, place] = rendered[ray]
            seen.add(place)
    return flat.reshape(features.shape)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 19), min_size=1, max_size=30))
def test_insertion_equals_a_loop_in_which_the_first_ray_counts(cells: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(3, 4, 5, generator=generator)
    rendered = torch.rand(len(cells), 3, generator=generator)
    before = features.clone()
    inserted = insert_cells(features, rendered, torch.tensor(cells))
    assert torch.equal(inserted, loop_insert(features, rendered, cells))
    assert torch.equal(features, before)


def test_gradients_reach_what_the_map_shows_and_nothing_else() -> None:
    features = torch.zeros(2, 2, 3, requires_grad=True)
    rendered = torch.zeros(4, 2, requires_grad=True)
    cells = torch.tensor([1, 4, 1, -1])  # the third ray comes too late; -1 is the last cell
    insert_cells(features, rendered, cells).sum().backward()
    assert features.grad is not None and rendered.grad is not None
    assert features.grad[0].tolist() == [[1, 0, 1], [1, 0, 0]]
    assert rendered.grad[:, 0].tolist() == [1, 1, 0, 1]
