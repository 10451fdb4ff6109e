"""Pixels near label borders, against loops over pixels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpnerf.metrics.boundary import near_borders
from gpnerf.metrics.segmentation import SegmentationScores

IGNORE = 4


def by_loops(labels: list[list[int]], radius: int) -> list[list[int]]:
    """Labels of the pixels that have one of another class within `radius` rows and columns."""
    height, width = len(labels), len(labels[0])
    kept = [[IGNORE] * width for _ in range(height)]
    for v in range(height):
        for u in range(width):
            rows = range(max(0, v - radius), min(height, v + radius + 1))
            columns = range(max(0, u - radius), min(width, u + radius + 1))
            around = {labels[y][x] for y in rows for x in columns} - {IGNORE}
            if labels[v][u] != IGNORE and around != {labels[v][u]}:
                kept[v][u] = labels[v][u]
    return kept


@given(
    height=st.integers(1, 14), width=st.integers(1, 14), radius=st.integers(0, 4), seed=st.integers(0, 1000),
    cell=st.integers(1, 7),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_near_means_a_square_around_the_pixel(height: int, width: int, radius: int, seed: int, cell: int) -> None:
    blocks = torch.randint(0, IGNORE + 1, (14, 14), generator=torch.Generator().manual_seed(seed))
    labels = blocks.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[:height, :width].contiguous()
    assert near_borders(labels, IGNORE, radius).tolist() == by_loops(labels.tolist(), radius)


def test_the_default_is_three_pixels_on_each_side_of_a_border() -> None:
    labels = torch.zeros(4, 20, dtype=torch.int64)
    labels[:, 9:] = 2
    kept = (near_borders(labels, IGNORE) != IGNORE).nonzero()[:, 1].unique()
    assert kept.tolist() == [6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("label", [1, IGNORE])
def test_without_a_border_nothing_is_scored(label: int) -> None:
    labels = torch.full((9, 9), label)
    labels[4, 4] = IGNORE  # what is not known is no border
    kept = near_borders(labels, IGNORE)
    assert (kept == IGNORE).all()
    assert SegmentationScores.of(kept, torch.zeros_like(kept), IGNORE, IGNORE).image()["miou"] is None


def test_errors_far_from_borders_do_not_count_and_near_ones_do() -> None:
    truth = torch.zeros(8, 40, dtype=torch.int64)
    truth[:, 20:] = 1

    def score(predicted: torch.Tensor) -> float | None:
        return SegmentationScores.of(near_borders(truth, IGNORE), predicted, IGNORE, IGNORE).image()["miou"]

    far, near = truth.clone(), truth.clone()
    far[:, :17] = 3
    near[:, 17] = 3
    assert score(far) == 1.0
    assert score(near) == pytest.approx((2 / 3 + 1) / 2)
