"""Depth errors by hand, against scikit-learn, and under a change of unit."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_percentage_error, root_mean_squared_error

from gpnerf.metrics.depth import depth_scores


def test_by_hand() -> None:
    truth = torch.tensor([[2.0, 4.0, 0.0, 1.0]])
    predicted = torch.tensor([[2.4, 3.0, 9.0, 1.3]])
    scores = depth_scores(predicted, truth)
    assert scores["depth_abs_rel"] == pytest.approx((0.2 + 0.25 + 0.3) / 3, rel=1e-6)
    assert scores["depth_rmse"] == pytest.approx(((0.16 + 1 + 0.09) / 3) ** 0.5, rel=1e-6)
    assert scores["depth_delta1"] == pytest.approx(1 / 3)  # 4 / 3 and 1.3 are both outside 1.25


def test_agrees_with_scikit_learn_on_known_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = 0.5 + 4 * torch.rand(20, 30, generator=generator)
    predicted = truth * torch.exp(0.3 * torch.randn(20, 30, generator=generator))
    truth[torch.rand(20, 30, generator=generator) < 0.4] = 0
    scores = depth_scores(predicted, truth)
    t, p = (x[truth > 0].double().numpy() for x in (truth, predicted))
    assert scores["depth_abs_rel"] == pytest.approx(mean_absolute_percentage_error(t, p))
    assert scores["depth_rmse"] == pytest.approx(root_mean_squared_error(t, p))
    assert scores["depth_delta1"] == pytest.approx(np.mean(np.maximum(t / p, p / t) < 1.25))


def test_a_change_of_unit_scales_the_rmse_only() -> None:
    truth = torch.tensor([[1.0, 2.0, 3.0]])
    predicted = torch.tensor([[1.1, 1.5, 3.2]])
    metres, double = depth_scores(predicted, truth), depth_scores(2 * predicted, 2 * truth)
    assert double == pytest.approx({**metres, "depth_rmse": 2 * metres["depth_rmse"]})


def test_a_prediction_that_is_not_positive_is_never_close() -> None:
    assert depth_scores(torch.tensor([[0.0, -1.0]]), torch.tensor([[1.0, 1.0]]))["depth_delta1"] == 0


def test_without_known_depth_all_are_none() -> None:
    assert set(depth_scores(torch.ones(2, 3), torch.zeros(2, 3)).values()) == {None}
