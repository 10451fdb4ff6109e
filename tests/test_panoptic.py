"""Panoptic quality: torchmetrics' own, its rules one by one, many views as one; and how classes and instances merge."""

import pytest
import torch
from torch import Tensor

from gpnerf.evaluation.panoptic import PanopticMap
from gpnerf.metrics.panoptic import SegmentOverlaps, segments

CLASSES, STUFF, SIDE = 5, (0, 3), 24
SCORES = ("pq", "sq", "rq", "pq_things", "pq_stuff")


def scores(truth: Tensor, predicted: Tensor, stuff: tuple[int, ...] = STUFF) -> dict[str, float | None]:
    """Of maps [2, height, width] of classes and objects."""
    return overlaps(truth, predicted, stuff).quality(CLASSES).scores(stuff)


def overlaps(truth: Tensor, predicted: Tensor, stuff: tuple[int, ...] = STUFF) -> SegmentOverlaps:
    return SegmentOverlaps.of(*(segments(*each, CLASSES, stuff) for each in (truth, predicted)))


def random_maps(seed: int) -> tuple[Tensor, Tensor]:
    """Blocky maps of classes and objects with unlabelled parts, and the same with patches changed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.stack([torch.randint(0, top, (6, 6), generator=generator) for top in (CLASSES + 1, 3)])
    truth = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
    other = torch.stack([torch.randint(0, top, (SIDE, SIDE), generator=generator) for top in (CLASSES + 1, 3)])
    changed = torch.rand(SIDE // 2, SIDE // 2, generator=generator) < 0.3
    return truth, torch.where(changed.repeat_interleave(2, 0).repeat_interleave(2, 1), other, truth)


@pytest.mark.parametrize("seed", range(6))
def test_quality_equals_that_of_torchmetrics(seed: int) -> None:
    detection = pytest.importorskip("torchmetrics.functional.detection")
    truth, predicted = random_maps(seed)
    ours = scores(truth, predicted)
    things = set(range(CLASSES)) - set(STUFF)

    def theirs(known: set[int], stuff: set[int]) -> list[float]:
        maps = [torch.stack(list(each), dim=-1)[None] for each in (predicted, truth)]
        found = detection.panoptic_quality(
            *maps, known, stuff, allow_unknown_preds_category=True, return_sq_and_rq=True
        )
        return found.tolist()

    assert [ours[name] for name in SCORES[:3]] == pytest.approx(theirs(things, set(STUFF)))
    # Classes that are left out are void there, which also excuses predictions; so each kind is compared alone.
    per_class = detection.panoptic_quality(
        *[torch.stack(list(each), dim=-1)[None] for each in (predicted, truth)], things, set(STUFF),
        allow_unknown_preds_category=True, return_per_class=True,
    )  # fmt: skip
    order = [*sorted(things), *sorted(STUFF)]
    quality = overlaps(truth, predicted).quality(CLASSES)
    expected = quality.overlap / (quality.right + (quality.wrong + quality.missed) / 2)
    assert per_class.flatten().tolist() == pytest.approx(expected[torch.tensor(order)].tolist())


def test_the_truth_itself_scores_one() -> None:
    truth, _ = random_maps(0)
    assert list(scores(truth, truth).values()) == [1.0] * 5


def test_an_unlabelled_picture_has_no_score() -> None:
    nothing = torch.stack([torch.full((SIDE, SIDE), CLASSES), torch.zeros(SIDE, SIDE, dtype=torch.int64)])
    assert set(scores(nothing, nothing).values()) == {None}


def test_stuff_is_one_segment_whatever_its_objects_and_things_without_object_are_void() -> None:
    truth = torch.zeros(2, 4, 4, dtype=torch.int64)
    truth[1, :2] = 7
    truth[0, :, 3], truth[1, :, 3] = 1, -1
    kinds = segments(*truth, CLASSES, STUFF)
    assert kinds[:, :3].unique().numel() == 1 and (kinds[:, 3] == -1).all()


def views_of_two_objects(swapped: bool) -> list[tuple[Tensor, Tensor]]:
    """Four views of a floor and two chairs; in every second one the predicted chairs may have changed names."""
    truth = torch.zeros(2, 8, 8, dtype=torch.int64)
    truth[0, 2:6, 1:3], truth[0, 2:6, 5:7] = 1, 1
    truth[1, :, 4:] = 1
    views = []
    for number in range(4):
        predicted = truth.clone()
        if swapped and number % 2:
            predicted[1] = 1 - predicted[1]
        views.append((truth, predicted))
    return views


@pytest.mark.parametrize("swapped", [False, True])
def test_only_the_score_of_a_scene_minds_names_that_change_between_views(swapped: bool) -> None:
    found = [overlaps(*each) for each in views_of_two_objects(swapped)]
    assert all(each.quality(CLASSES).scores(STUFF)["pq"] == 1 for each in found)
    scene = (found[0] + found[1] + found[2] + found[3]).quality(CLASSES).scores(STUFF, "_scene")
    assert scene["pq_things_scene"] == (0 if swapped else 1) and scene["pq_stuff_scene"] == 1


def test_the_sum_over_views_is_one_large_picture() -> None:
    maps = [random_maps(seed) for seed in range(3)]
    total = sum((overlaps(*each) for each in maps[1:]), overlaps(*maps[0]))
    together = overlaps(*(torch.cat(each, dim=2) for each in zip(*maps, strict=True)))
    assert total == together


def test_stuff_goes_by_its_class_and_a_thing_has_the_class_of_most_of_its_pixels() -> None:
    classes = torch.tensor([[0, 1, 1, 2], [0, 3, 2, 2], [0, 1, 2, 2]])
    instances = torch.tensor([[4, 4, 4, 4], [1, 1, 1, 1], [0, 0, 1, 1]])
    merged = PanopticMap.merged(classes, instances, STUFF)
    assert merged.instances.tolist() == [[-1, 4, 4, 4], [-1, -1, 1, 1], [-1, 0, 1, 1]]
    assert merged.classes.tolist() == [[0, 1, 1, 1], [0, 3, 2, 2], [0, 1, 2, 2]]
    assert merged.numbered(STUFF).tolist() == [[0, 6, 6, 6], [0, 1, 3, 3], [0, 2, 3, 3]]


def test_a_view_of_stuff_alone_merges() -> None:
    walls = torch.zeros(3, 4, dtype=torch.int64)
    assert (PanopticMap.merged(walls, walls, STUFF).instances == -1).all()
