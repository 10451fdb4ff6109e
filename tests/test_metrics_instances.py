"""Average precision of instances: golden numbers, scikit-learn's curve, and its rules one by one."""

import math
from itertools import pairwise

import pytest
import torch
from golden_files import Golden
from sklearn.metrics import precision_recall_curve
from torch import Tensor

from gpnerf.metrics.instances import (
    LEFT_OUT,
    NONE,
    SMALL,
    THRESHOLDS,
    InstanceMatches,
    average_precisions,
    match_instances,
    without_small,
)

GOLDEN = "06_instance"
SIDE = 24


def case(name: str) -> tuple[Tensor, Tensor, Golden]:
    golden = Golden(GOLDEN)
    return golden[f"{name}/in/prob"][0, ..., :-1].permute(2, 0, 1), golden[f"{name}/in/gt"][0].long(), golden


@pytest.mark.parametrize("name", [key.split("/")[0] for key in Golden(GOLDEN).keys(end="out/ap")])
def test_average_precision_golden(name: str) -> None:
    probabilities, truth, golden = case(name)
    matches = match_instances(probabilities, truth)
    assert matches.truth.tolist() == golden[f"{name}/out/gt_labels"].tolist()
    assert matches.channel.tolist() == golden[f"{name}/out/return_labels"].tolist()
    found = average_precisions(matches)
    assert list(found) == ["ap50", "ap75", "ap80", "ap85", "ap90", "ap95"]
    assert list(found.values()) == pytest.approx(golden[f"{name}/out/ap"].tolist(), abs=1e-6)


def blocks() -> Tensor:
    """Four instances of 12x12 pixels."""
    rows = torch.arange(SIDE) // 12
    return 2 * rows[:, None] + rows


def certain(winners: Tensor, channels: int, confidence: float = 0.9) -> Tensor:
    """Probabilities with these winners."""
    one_hot = torch.nn.functional.one_hot(winners, channels).permute(2, 0, 1).float()
    return one_hot * confidence + (1 - one_hot) * (1 - confidence) / (channels - 1)


def test_the_truth_itself_scores_one_whatever_its_channels_are_called() -> None:
    renamed = torch.tensor([5, 0, 3, 2])[blocks()]
    scores = average_precisions(match_instances(certain(renamed, 7), blocks()))
    assert list(scores.values()) == [1.0] * len(THRESHOLDS)


def test_one_region_for_everything_finds_at_most_one() -> None:
    matches = match_instances(certain(torch.zeros_like(blocks()), 6), blocks())
    assert (matches.channel >= 0).sum() <= 1 and float(matches.iou.max()) <= 0.25
    assert matches.average_precision(0.5) == 0


@pytest.mark.parametrize("seed", range(8))
def test_area_is_that_of_scikit_learns_curve_under_its_envelope(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    count = 9
    iou, confidence = torch.rand(2, count, generator=generator)
    zeros = torch.zeros(count, dtype=torch.int64)
    found = InstanceMatches(zeros, zeros, zeros, iou, confidence).average_precision(0.5)
    right = (iou > 0.5).numpy()
    precision, recall, _ = precision_recall_curve(right, confidence.numpy())
    recall = recall * right.sum() / count  # its recall is over the right ones, ours over all true instances
    steps = sorted(zip(recall.tolist(), precision.tolist(), strict=True))
    area = sum((high - low) * max(p for r, p in steps if r >= high) for (low, _), (high, _) in pairwise(steps))
    assert found == pytest.approx(area)


def test_what_is_left_out_counts_nowhere_and_a_mask_that_spills_over_none_is_worse() -> None:
    truth = blocks()
    truth[:, 20:] = LEFT_OUT
    winners = blocks()
    winners[:, 20:] = 0
    scores = average_precisions(match_instances(certain(winners, 4), truth))
    assert list(scores.values()) == [1.0] * len(THRESHOLDS)
    spilt = match_instances(certain(winners, 4), torch.where(truth == LEFT_OUT, NONE, truth))
    assert spilt.iou.tolist() == pytest.approx([144 / (144 + 4 * 24), 96 / 96, 1, 1])


def test_the_channel_of_none_is_no_region() -> None:
    truth = blocks()
    truth[:, 20:] = NONE
    winners = torch.where(truth == NONE, 4, truth)
    found = match_instances(certain(winners, 5), truth, none=4)
    assert found.iou.tolist() == pytest.approx([1.0] * 4)
    assert found.truth.tolist() == found.channel.tolist() == [0, 1, 2, 3]
    nothing = match_instances(certain(torch.full_like(truth, 4), 5), truth, none=4)
    assert nothing.channel.tolist() == [-1] * 4 and not nothing.iou.any()


def test_an_image_without_instance_has_no_score() -> None:
    matches = match_instances(certain(blocks(), 4), torch.full((SIDE, SIDE), NONE))
    assert set(average_precisions(matches).values()) == {None} and matches.small_recall(0.5) is None


def test_more_true_instances_than_channels_are_missed() -> None:
    matches = match_instances(certain(blocks().clamp(max=1), 2), blocks())
    assert len(matches.truth) == 4 and int((matches.channel >= 0).sum()) == 2
    assert matches.average_precision(0.5) < 0.5


def test_small_instances_are_reported_apart() -> None:
    truth = blocks()
    truth[:7, :7] = 9  # 49 pixels
    assert SMALL == 50
    apart = without_small(truth)
    assert set(apart[:7, :7].flatten().tolist()) == {LEFT_OUT} and torch.equal(apart[truth != 9], truth[truth != 9])
    winners = torch.where(truth == 9, 4, truth)
    missed = torch.where(truth == 9, 0, truth)
    for predicted, recall in ((winners, 1.0), (missed, 0.0)):
        matches = match_instances(certain(predicted, 6), truth)
        assert matches.small_recall(0.5) == recall
        assert match_instances(certain(predicted, 6), apart).average_precision(0.95) == 1.0
    truth[10:12, 20:22] = NONE  # few pixels, but no instance
    truth[0, 7] = 9
    assert torch.equal(without_small(truth), truth)


def test_confidence_is_the_median_of_the_largest_probability() -> None:
    probabilities = torch.tensor([[0.9, 0.6, 0.7, 0.1], [0.1, 0.2, 0.1, 0.55]])[:, None]
    matches = match_instances(probabilities, torch.tensor([[0, 0, 0, 1]]))
    assert matches.confidence.tolist() == pytest.approx([0.7, 0.55])
    assert not math.isnan(float(matches.iou.sum()))
