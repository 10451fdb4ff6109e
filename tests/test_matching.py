"""One-to-one assignment against trying every one; overlap against counting pixels."""

from itertools import permutations

import pytest
import torch

from gpnerf.matching import assign, pairwise_iou


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (3, 5), (5, 3), (1, 6)])
def test_assignment_is_the_cheapest_of_all(rows: int, columns: int) -> None:
    costs = torch.rand(rows, columns, generator=torch.Generator().manual_seed(rows * columns))
    chosen_rows, chosen_columns = assign(costs)
    assert chosen_rows.tolist() == sorted(set(chosen_rows.tolist()))
    assert len(set(chosen_columns.tolist())) == len(chosen_rows) == min(rows, columns)
    wide = costs if rows <= columns else costs.T
    cheapest = min(
        sum(float(wide[row, column]) for row, column in enumerate(order))
        for order in permutations(range(wide.shape[1]), len(wide))
    )
    assert float(costs[chosen_rows, chosen_columns].sum()) == pytest.approx(cheapest)


def test_nothing_to_assign() -> None:
    rows, columns = assign(torch.zeros(0, 3))
    assert len(rows) == len(columns) == 0


def test_overlap_of_hard_masks_counts_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, predicted = (torch.rand(n, 40, generator=generator) < 0.4 for n in (3, 5))
    found = pairwise_iou(truth.double(), predicted.double())
    for i, one in enumerate(truth):
        for j, other in enumerate(predicted):
            assert float(found[i, j]) == pytest.approx(int((one & other).sum()) / int((one | other).sum()), abs=1e-6)


def test_empty_masks_overlap_by_nothing() -> None:
    assert float(pairwise_iou(torch.zeros(1, 9), torch.zeros(1, 9))) == 0
