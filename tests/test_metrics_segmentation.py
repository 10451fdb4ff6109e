"""Segmentation scores against the golden numbers, scikit-learn, and sums over shards."""

import itertools

import pytest
import torch
from golden_files import Golden
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score
from sklearn.metrics import confusion_matrix as sklearn_confusion
from torch import Tensor

from gpnerf.metrics.segmentation import SegmentationScores, confusion_matrix, predicted_labels

GOLDEN_NAMES = {"miou": "miou", "total_accuracy": "total_accuracy", "class_average_accuracy": "class_accuracy"}
EMPTY = {"miou": None, "total_accuracy": None, "class_accuracy": None}


def label_maps(seed: int, classes: int = 6, absent: tuple[int, ...] = (1, 4)) -> tuple[Tensor, Tensor]:
    """Truth without the absent classes but with ignored pixels (label `classes`), and a half-right prediction."""
    generator = torch.Generator().manual_seed(seed)
    present = torch.tensor([c for c in range(classes + 1) if c not in absent])
    truth = present[torch.randint(len(present), (17, 23), generator=generator)]
    guess = torch.randint(classes, truth.shape, generator=generator)
    right = (torch.rand(truth.shape, generator=generator) < 0.5) & (truth < classes)
    return truth, torch.where(right, truth, guess)


def test_image_scores_golden() -> None:
    golden = Golden("06_iou")
    cases = golden.meta["cases"]
    assert cases
    for case in cases:
        tag, classes, ignore = case["tag"], case["num_classes"], case["ignore_label"]
        truth = golden[f"{tag}/in/gt"].long()
        scores = SegmentationScores.of(truth, golden[f"{tag}/in/pred"].long(), classes, ignore).image("release")
        for theirs, ours in GOLDEN_NAMES.items():
            assert scores[ours] == pytest.approx(float(golden[f"{tag}/out/{theirs}"]), abs=1e-6), (tag, ours)
        if f"{tag}/in/que" in golden:
            query = SegmentationScores.of(truth, golden[f"{tag}/in/que"].long(), classes, ignore).image("release")
            assert query["miou"] == pytest.approx(float(golden[f"{tag}/out/que_miou"]), abs=1e-6), tag


def test_scores_agree_with_scikit_learn() -> None:
    truth, predicted = label_maps(seed=0)
    scores = SegmentationScores.of(truth, predicted, num_classes=6, ignore=6)
    valid = truth != 6
    y, p = truth[valid].numpy(), predicted[valid].numpy()
    present = sorted(set(y.tolist()))
    assert scores.matrix.tolist() == sklearn_confusion(y, p, labels=range(6)).tolist()
    expected = {
        "miou": jaccard_score(y, p, labels=present, average="macro"),
        "total_accuracy": accuracy_score(y, p),
        "class_accuracy": balanced_accuracy_score(y, p),
    }
    assert scores.image() == pytest.approx(expected)
    assert scores.dataset() == pytest.approx({f"{name}_dataset": value for name, value in expected.items()})
    by_class = dict(zip(present, jaccard_score(y, p, labels=present, average=None), strict=True))
    assert scores.per_class_iou("abcdef") == {
        name: pytest.approx(by_class[c]) if c in by_class else None for c, name in enumerate("abcdef")
    }


LABELS = st.lists(st.tuples(st.integers(-2, 6), st.integers(-2, 6)), max_size=40)


@settings(deadline=None)
@given(pairs=LABELS, ignore=st.integers(-1, 5))
def test_confusion_matrix_is_the_loop_over_pixels(pairs: list[tuple[int, int]], ignore: int) -> None:
    classes = 4
    expected = [[0] * classes for _ in range(classes)]
    for true_class, predicted_class in pairs:
        if true_class != ignore and true_class in range(classes) and predicted_class in range(classes):
            expected[true_class][predicted_class] += 1
    truth, predicted = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    assert confusion_matrix(truth, predicted, classes, ignore).tolist() == expected


@settings(deadline=None)
@given(pairs=LABELS, cuts=st.lists(st.integers(0, 40), max_size=3))
def test_scores_of_a_whole_are_the_sum_of_its_shards(pairs: list[tuple[int, int]], cuts: list[int]) -> None:
    truth, predicted = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    bounds = [0, *sorted(min(cut, len(pairs)) for cut in cuts), len(pairs)]
    total = SegmentationScores.empty(4)
    for start, end in itertools.pairwise(bounds):
        total = total + SegmentationScores.of(truth[start:end], predicted[start:end], 4, ignore=4)
    whole = SegmentationScores.of(truth, predicted, 4, ignore=4)
    assert torch.equal(total.matrix, whole.matrix)
    assert total.dataset() == whole.dataset()


def test_dataset_scores_are_not_means_of_image_scores() -> None:
    """A class seen in one image only counts against false alarms in all the others."""
    first = SegmentationScores.of(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]), 2, ignore=2)
    second = SegmentationScores.of(torch.tensor([1, 1]), torch.tensor([1, 1]), 2, ignore=2)
    assert (first.image()["miou"], second.image()["miou"]) == (0.75, 1.0)
    assert (first + second).dataset() == pytest.approx(
        {
            "miou_dataset": (3 / 4 + 2 / 3) / 2,
            "total_accuracy_dataset": 5 / 6,
            "class_accuracy_dataset": (3 / 4 + 1) / 2,
        }
    )


def test_nothing_to_score() -> None:
    ignored = torch.full((3, 4), 5)
    scores = SegmentationScores.of(ignored, torch.zeros_like(ignored), num_classes=5, ignore=5)
    assert scores.image() == EMPTY
    assert scores.image("release") == dict.fromkeys(EMPTY, 0.0)
    assert scores.dataset() == {f"{name}_dataset": None for name in EMPTY}
    assert set(scores.per_class_iou("abcde").values()) == {None}


def test_only_release_may_predict_the_ignore_class() -> None:
    logits = torch.zeros(4, 1, 3)  # three classes and ignore
    logits[3] = 5
    logits[torch.tensor([1, 0, 2]), 0, torch.tensor([0, 1, 2])] = torch.tensor([1.0, 2.0, 9.0])
    assert predicted_labels(logits).tolist() == [[1, 0, 2]]
    assert predicted_labels(logits, "release").tolist() == [[3, 3, 2]]
