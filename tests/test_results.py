"""Means over images, scenes and pixels, and the nearest source view."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpnerf.evaluation.results import assemble, mean_scores
from gpnerf.evaluation.view import nearest_source
from gpnerf.metrics.segmentation import SegmentationScores
from gpnerf.structures import Cameras, Example, SourceViews, TargetView

_scores = st.dictionaries(st.sampled_from("abc"), st.none() | st.floats(-9, 9), max_size=3)


@given(st.lists(_scores, max_size=5))
@settings(max_examples=50, deadline=None)
def test_mean_leaves_out_what_is_missing(parts: list[dict[str, float | None]]) -> None:
    means = mean_scores(parts)
    assert set(means) == {name for part in parts for name in part}
    for name, mean in means.items():
        values = np.array([part.get(name) for part in parts], dtype=float)  # None becomes NaN
        assert mean is None if np.isnan(values).all() else mean == pytest.approx(np.nanmean(values))


def test_scenes_weigh_the_same_and_pixels_weigh_the_same() -> None:
    small, large = (
        SegmentationScores(torch.tensor([[1, 0], [0, 0]])),
        SegmentationScores(torch.tensor([[0, 8], [0, 1]])),
    )
    scenes = {"a": {0: {"miou": 1.0}}, "b": {1: {"miou": 0.0}, 2: {"miou": 0.2}, 3: {"miou": None}}}
    metrics = ("miou", "total_accuracy_dataset", "pq_scene")
    whole = {"a": {"pq_scene": 0.4, "sq_scene": 0.9}, "b": {"pq_scene": 0.6}}
    results = assemble(scenes, {"a": small, "b": large}, ("wall", "floor"), [1.0, 2.0], metrics, whole)
    assert set(results["overall"]) == set(metrics)  # and nothing that the protocol does not list
    assert results["overall"]["miou"] == pytest.approx((1 + 0.1) / 2)
    assert results["overall"]["total_accuracy_dataset"] == pytest.approx(2 / 10)
    assert results["overall"]["pq_scene"] == 0.5 and results["scenes"]["a"]["mean"]["pq_scene"] == 0.4
    assert results["scenes"]["a"]["mean"]["total_accuracy_dataset"] == 1
    assert results["per_class_iou"] == pytest.approx({"wall": 1 / 9, "floor": 1 / 9})
    assert results["seconds_per_image"] == 1.5


def camera(x: float, angle: float) -> torch.Tensor:
    """Camera to world at (x, 0, 0), turned about y by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return torch.tensor([[cos, 0, sin, x], [0, 1, 0, 0], [-sin, 0, cos, 0], [0, 0, 0, 1]], dtype=torch.float32)


@pytest.mark.parametrize(("target", "expected"), [((0.1, 0.0), 0), ((0.9, 0.4), 1), ((2.1, 0.0), 2), ((0.9, 1.5), 3)])
def test_nearest_source_by_place_and_direction(target: tuple[float, float], expected: int) -> None:
    poses = torch.stack([camera(0, 0), camera(1, 0), camera(2, 0), camera(1, 2)])
    sources = SourceViews(Cameras(torch.eye(3).expand(4, 3, 3), poses, 2, 2), torch.zeros(4, 3, 2, 2))
    view = TargetView(Cameras(torch.eye(3), camera(*target), 2, 2), torch.zeros(3, 2, 2))
    assert nearest_source(Example("room", 9, view, sources, (0, 1, 2, 3), 0.1, 8.0)) == expected
