"""Average precision as COCO defines it: against a loop over pixels, and rule by rule."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gpnerf.metrics.detection import Detections
from gpnerf.metrics.instances import LEFT_OUT, NONE, average_precisions, match_instances

SIDE, CHANNELS = 24, 6


def blocks() -> Tensor:
    """Four instances of 12x12 pixels."""
    rows = torch.arange(SIDE) // 12
    return 2 * rows[:, None] + rows


def certain(winners: Tensor, confidence: float = 0.9, channels: int = CHANNELS) -> Tensor:
    """Probabilities with these winners."""
    one_hot = torch.nn.functional.one_hot(winners, channels).permute(2, 0, 1).float()
    return one_hot * confidence + (1 - one_hot) * (1 - confidence) / (channels - 1)


def views(seed: int, count: int = 4) -> list[tuple[Tensor, Tensor]]:
    """Truth and prediction of views: blobs with pixels of no instance, shifted and partly renamed."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, side: int) -> Tensor:
        times = SIDE // side
        drawn = torch.randint(low, high, (side, side), generator=generator)
        return drawn.repeat_interleave(times, 0).repeat_interleave(times, 1)

    made = []
    for _ in range(count):
        truth = draw(NONE, CHANNELS - 1, 4)
        changed = torch.rand(SIDE, SIDE, generator=generator) < float(torch.rand(1, generator=generator)) / 2
        winners = torch.where(changed, draw(0, CHANNELS, 12), truth.where(truth >= 0, CHANNELS - 1))
        scale = 1 + 4 * torch.rand(CHANNELS, generator=generator)  # each instance with a confidence of its own
        noise = torch.rand(CHANNELS, SIDE, SIDE, generator=generator)
        made.append(((certain(winners) * scale[winners] * 3 + noise).softmax(dim=0), truth))
    return made


def sets(ids: Tensor, of: range) -> list[set[int]]:
    found = [set((ids.flatten() == k).nonzero().flatten().tolist()) for k in of]
    return [each for each in found if each]


def defined(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """From the definition: each detection of all views in order of confidence takes the best free true instance."""
    instances, detections = [], []
    for view, (probabilities, truth) in enumerate(pairs):
        largest, winner = probabilities.max(dim=0)
        instances += [(view, pixels) for pixels in sets(truth, range(CHANNELS))]
        for pixels in sets(winner, range(CHANNELS - 1)):  # the last channel stands for none
            detections.append((float(np.median(largest.flatten()[sorted(pixels)].double())), view, pixels))
    detections.sort(key=lambda each: -each[0])
    precisions = []
    for threshold in np.linspace(0.5, 0.95, 10):
        free, curve, right = list(range(len(instances))), [], 0
        for rank, (_, view, pixels) in enumerate(detections, start=1):
            candidates = [
                (len(pixels & of) / len(pixels | of), i) for i, (at, of) in enumerate(instances) if at == view
            ]
            overlap, best = max((each for each in candidates if each[1] in free), default=(0.0, -1))
            if overlap >= threshold:
                free.remove(best)
                right += 1
            curve.append((right / len(instances), right / rank))
        read = [max((p for r, p in curve if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)]
        precisions.append(sum(read) / 101)
    return {"ap_coco": sum(precisions) / 10, "ap50_coco": precisions[0]}


def joined(pairs: list[tuple[Tensor, Tensor]], none: int | None = CHANNELS - 1) -> Detections:
    first, *rest = [Detections.of(probabilities, truth, none) for probabilities, truth in pairs]
    return sum(rest, first)


@pytest.mark.parametrize("seed", range(6))
def test_precision_is_that_of_the_definition_over_all_views(seed: int) -> None:
    pairs = views(seed)
    found = joined(pairs).scores()
    assert found == pytest.approx(defined(pairs), abs=1e-9)
    assert 0 < found["ap_coco"] < found["ap50_coco"] < 1
    apart = [joined([pair]).scores()["ap_coco"] for pair in pairs]
    assert found["ap_coco"] != pytest.approx(np.mean(apart), abs=1e-3)  # the views are ranked together


def test_the_truth_itself_scores_one_even_alone() -> None:
    for count in (1, 3):
        truth = blocks().clamp(max=count - 1)
        scores = joined([(certain(truth), truth)] * 2).scores()
        assert scores == {"ap_coco": 1.0, "ap50_coco": 1.0}


def test_a_detection_that_finds_nothing_counts_here_and_not_in_dm_nerfs_precision() -> None:
    truth = blocks().where(blocks() != 3, NONE)
    surer = torch.where(blocks() == 3, certain(blocks(), 0.95), certain(blocks(), 0.9))
    assert average_precisions(match_instances(surer, truth, CHANNELS - 1))["ap50"] == 1
    assert joined([(surer, truth)]).scores()["ap50_coco"] == pytest.approx(3 / 4)
    surest_last = torch.where(blocks() == 3, certain(blocks(), 0.6), certain(blocks(), 0.9))
    assert joined([(surest_last, truth)]).scores()["ap50_coco"] == 1
    empty = torch.full_like(truth, NONE)
    assert joined([(surer, empty)]).scores() == {"ap_coco": None, "ap50_coco": None}
    false_alarms = (certain(blocks(), 0.95), empty)
    assert joined([(certain(truth.where(truth >= 0, 5)), truth), false_alarms]).scores()["ap50_coco"] == pytest.approx(
        3 / 7
    )


def test_missed_instances_and_pixels_left_out() -> None:
    truth = blocks()
    half = certain(blocks().where(blocks() < 2, CHANNELS - 1))
    assert joined([(half, truth)]).scores()["ap_coco"] == pytest.approx(51 / 101)  # recalls 0 to 0.50
    assert joined([(half, truth.where(truth < 2, LEFT_OUT))]).scores()["ap_coco"] == 1
    nothing = certain(torch.full_like(truth, CHANNELS - 1))
    assert joined([(nothing, truth)]).scores() == {"ap_coco": 0.0, "ap50_coco": 0.0}


def test_an_instance_in_two_pieces_is_found_once() -> None:
    truth = torch.zeros(SIDE, SIDE, dtype=torch.int64)
    winners = truth.clone()
    winners[:, SIDE // 2 :] = 1  # two halves of it, each with an overlap of exactly a half
    assert joined([(certain(winners), truth)]).scores()["ap50_coco"] == 1
    assert Detections.of(certain(winners), truth, CHANNELS - 1).hits.sum(dim=1).tolist() == [1] + [0] * 9
