"""The pixels of a step and the seeds of its random numbers."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpnerf.training.pixels import choose_pixels, step_seeds


@given(
    height=st.integers(5, 20), width=st.integers(5, 20), count=st.integers(1, 500), seed=st.integers(0, 100),
    ratio=st.sampled_from([0.5, 0.8, 1.0]), mode=st.sampled_from(["uniform", "center"]),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_pixels_are_distinct_and_inside(
    height: int, width: int, count: int, seed: int, ratio: float, mode: str
) -> None:
    pixels = choose_pixels(height, width, count, mode, ratio, torch.Generator().manual_seed(seed))
    chosen = {(u, v) for u, v in pixels.tolist()}
    rows, cols = (height, width) if mode == "uniform" else (round(height * ratio), round(width * ratio))
    assert len(chosen) == len(pixels) == min(count, rows * cols)
    us, vs = zip(*chosen, strict=True)
    assert min(us) >= (width - cols) // 2 and max(us) < (width - cols) // 2 + cols
    assert min(vs) >= (height - rows) // 2 and max(vs) < (height - rows) // 2 + rows


@given(
    height=st.integers(1, 20), width=st.integers(1, 20), count=st.integers(1, 500), seed=st.integers(0, 100)
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_half_of_a_patch_s_pixels_fill_a_square_of_feature_cells(
    height: int, width: int, count: int, seed: int
) -> None:
    pixels = choose_pixels(height, width, count, "patch", 0.8, torch.Generator().manual_seed(seed))
    chosen = {(u, v) for u, v in pixels.tolist()}
    assert len(chosen) == len(pixels) == min(count, height * width)
    assert all(0 <= u < width and 0 <= v < height for u, v in chosen)
    side = max(n for n in range(21) if 2 * n * n <= count and 2 * n - 1 <= min(height, width))
    square = pixels[: side * side].tolist()
    cells = {(u // 2, v // 2) for u, v in square}
    assert len(cells) == side * side and all(u % 2 == 0 and v % 2 == 0 for u, v in square)
    assert all(len({cell[axis] for cell in cells}) == side for axis in (0, 1))
    assert all(max(row) - min(row) == max(0, side - 1) for axis in (0, 1) if (row := [cell[axis] for cell in cells]))


def test_a_patch_can_be_anywhere_and_so_can_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    patches, others = torch.zeros(6, 8), torch.zeros(6, 8)
    for _ in range(300):
        pixels = choose_pixels(6, 8, 8, "patch", 0.8, generator)
        for hits, (u, v) in ((patches, pixels[:4].T), (others, pixels[4:].T)):
            hits[v, u] += 1
    assert bool((patches[::2, ::2] > 0).all()) and bool((others > 0).all())


@pytest.mark.parametrize(("mode", "expected"), [("uniform", 0.36), ("center", 1.0)])
def test_centre_is_chosen_only_when_asked_for(mode: str, expected: float) -> None:
    pixels = choose_pixels(100, 100, 4000, mode, 0.6, torch.Generator().manual_seed(0))
    central = ((pixels >= 20) & (pixels < 80)).all(dim=1).double().mean()
    assert float(central) == pytest.approx(expected, abs=0.03)


def test_every_pixel_has_the_same_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    hits = torch.zeros(4, 6)
    for _ in range(2000):
        u, v = choose_pixels(4, 6, 6, "uniform", 1.0, generator).unbind(-1)
        hits[v, u] += 1
    torch.testing.assert_close(hits / 2000, torch.full((4, 6), 6 / 24), atol=0.05, rtol=0)


def test_same_seed_same_pixels_another_seed_others() -> None:
    def draw(seed: int) -> list:
        return choose_pixels(30, 40, 50, "uniform", 1.0, torch.Generator().manual_seed(seed)).tolist()

    assert draw(3) == draw(3) != draw(4)


def test_step_seeds_differ_in_every_part() -> None:
    parts = list(product((0, 1, 7), range(12), range(6)))
    seeds = {seed for part in parts for seed in step_seeds(*part)}
    assert len(seeds) == 2 * len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)  # what torch generators take
