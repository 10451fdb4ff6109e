"""Panoptic quality: as defined, torchmetrics' own, many views as one; and how classes and instances merge."""

import pytest
import torch
from torch import Tensor

from gpnerf.evaluation.panoptic import PanopticMap
from gpnerf.metrics.panoptic import PanopticQuality, SegmentOverlaps, segments

CLASSES, STUFF, SIDE = 5, (0, 3), 24


def scores(truth: Tensor, predicted: Tensor, stuff: tuple[int, ...] = STUFF) -> dict[str, float | None]:
    """Of maps [2, height, width] of classes and objects."""
    return overlaps(truth, predicted, stuff).quality(CLASSES).scores(stuff)


def overlaps(truth: Tensor, predicted: Tensor, stuff: tuple[int, ...] = STUFF) -> SegmentOverlaps:
    return SegmentOverlaps.of(*(segments(*each, CLASSES, stuff) for each in (truth, predicted)))


def random_maps(seed: int, predicted_void: bool = True) -> tuple[Tensor, Tensor]:
    """Blocky maps of classes and objects with unlabelled parts, and the same with patches changed.

    In the prediction patches have no class or no object, unless `predicted_void` is off.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(classes: int, lowest: int, side: int) -> Tensor:
        kinds = torch.randint(0, classes, (side, side), generator=generator)
        return torch.stack([kinds, torch.randint(lowest, 3, (side, side), generator=generator)])

    truth = draw(CLASSES + 1, -1, 6).repeat_interleave(4, 1).repeat_interleave(4, 2)
    fine, coarse = (torch.rand(n, n, generator=generator) < share for n, share in ((12, 0.2), (6, 0.25)))
    other = draw(CLASSES + predicted_void, -1 if predicted_void else 0, SIDE)
    predicted = torch.where(fine.repeat_interleave(2, 0).repeat_interleave(2, 1), other, truth)
    if predicted_void:  # whole segments too
        predicted = predicted.masked_fill(coarse.repeat_interleave(4, 0).repeat_interleave(4, 1), -1)
        return truth, predicted
    return truth, torch.where((predicted[0] == CLASSES) | (predicted[1] < 0), other, predicted)


def segments_of(maps: Tensor) -> dict[tuple[int, int], set[int]]:
    """The pixels of every segment, by class and object; void pixels are in none."""
    found: dict[tuple[int, int], set[int]] = {}
    for place, (kind, thing) in enumerate(zip(*maps.flatten(1).tolist(), strict=True)):
        if 0 <= kind < CLASSES and (kind in STUFF or thing >= 0):
            found.setdefault((kind, 0 if kind in STUFF else thing), set()).add(place)
    return found


def defined_quality(truth: Tensor, predicted: Tensor) -> list[tuple[float, int, int, int]]:
    """For each class the sum of IoU, and the matched, wrong and missed segments, pixel by pixel from the definition."""
    true, found = segments_of(truth), segments_of(predicted)
    known = set().union(*true.values())
    rows = []
    for kind in range(CLASSES):
        ours = [pixels for (of, _), pixels in true.items() if of == kind]
        theirs = [pixels for (of, _), pixels in found.items() if of == kind]
        overlaps = [[len(a & b) / len(a | (b & known)) for b in theirs] for a in ours]
        matches = [(i, j) for i in range(len(ours)) for j in range(len(theirs)) if overlaps[i][j] > 0.5]
        unmatched = [b for j, b in enumerate(theirs) if j not in {j for _, j in matches}]
        wrong = [b for b in unmatched if not 2 * len(b - known) > len(b)]
        rows.append((sum(overlaps[i][j] for i, j in matches), len(matches), len(wrong), len(ours) - len(matches)))
    return rows


def counts(quality: PanopticQuality) -> list[tuple[float, int, int, int]]:
    return list(zip(*(each.tolist() for each in vars(quality).values()), strict=True))


def assert_as_defined(quality: PanopticQuality, truth: Tensor, predicted: Tensor) -> None:
    expected = defined_quality(truth, predicted)
    for row, wanted in zip(counts(quality), expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-12)
    seen = [row for row in expected if sum(row[1:])]
    each = [overlap / (right + wrong / 2 + missed / 2) for overlap, right, wrong, missed in seen]
    assert quality.scores(STUFF)["pq"] == pytest.approx(sum(each) / len(each), abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_quality_is_that_of_the_definition_with_void_on_both_sides(seed: int) -> None:
    maps = [random_maps(8 * seed + view) for view in range(3)]
    for truth, predicted in maps:
        assert_as_defined(overlaps(truth, predicted).quality(CLASSES), truth, predicted)
    scene = sum((overlaps(*each) for each in maps[1:]), overlaps(*maps[0]))
    side_by_side = [torch.cat(each, dim=2) for each in zip(*maps, strict=True)]
    assert_as_defined(scene.quality(CLASSES), *side_by_side)


def test_random_maps_have_void_that_matters() -> None:
    """Else the test above would not tell whether void on one side is treated like void on the other."""
    pairs = [random_maps(seed) for seed in range(24)]
    swapped = [overlaps(predicted, truth).quality(CLASSES) for truth, predicted in pairs]
    straight = [overlaps(truth, predicted).quality(CLASSES) for truth, predicted in pairs]
    assert sum(float((a.missed - b.wrong).abs().sum()) for a, b in zip(straight, swapped, strict=True)) > 10
    assert sum(float((a.overlap - b.overlap).abs().sum()) for a, b in zip(straight, swapped, strict=True)) > 1


def test_predicted_void_excuses_nothing_and_true_void_excuses_what_lies_in_it() -> None:
    truth = torch.zeros(2, 4, 8, dtype=torch.int64)
    predicted = truth.clone()
    predicted[0, :, 3:] = CLASSES  # 12 of 32 pixels are found
    assert counts(overlaps(truth, predicted).quality(CLASSES))[0] == (0, 0, 1, 1)
    assert counts(overlaps(predicted, truth).quality(CLASSES))[0] == (1, 1, 0, 0)
    predicted[0, :, 3:6] = 0
    assert counts(overlaps(truth, predicted).quality(CLASSES))[0] == (24 / 32, 1, 0, 0)
    truth[0, :, :4] = CLASSES
    truth[0, :, 4:] = 1
    predicted[0, :, 4:] = CLASSES
    assert counts(overlaps(truth, predicted).quality(CLASSES))[:2] == [(0, 0, 0, 0), (0, 0, 0, 1)]


@pytest.mark.parametrize("seed", range(6))
def test_quality_equals_that_of_torchmetrics_where_nothing_predicted_is_void(seed: int) -> None:
    """Void of the prediction is treated there like that of the truth, unlike in the paper."""
    detection = pytest.importorskip("torchmetrics.functional.detection")
    truth, predicted = random_maps(seed, predicted_void=False)
    truth = torch.where((truth[0] == CLASSES) | (truth[1] < 0), CLASSES, truth)  # things have an object there
    maps = [torch.stack(list(each), dim=-1)[None] for each in (predicted, truth)]
    things = set(range(CLASSES)) - set(STUFF)
    found = detection.panoptic_quality(
        *maps, things, set(STUFF), allow_unknown_preds_category=True, return_sq_and_rq=True
    )
    assert list(scores(truth, predicted).values())[:3] == pytest.approx(found.tolist())


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
