"""Semantic segmentation scores from confusion matrices: of one image, or of all pixels of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.structures import Compat


def predicted_labels(
    logits: Float[Tensor, "outputs height width"], compat: Compat = "none"
) -> Int64[Tensor, "height width"]:
    """The likeliest class of every pixel; the last output is the ignore class, which only `release` may predict."""
    return (logits[:-1] if compat == "none" else logits).argmax(dim=0)


def class_probabilities(
    logits: Float[Tensor, "outputs height width"], compat: Compat = "none"
) -> Float[Tensor, "classes height width"]:
    """The probabilities of the real classes; what they lack to 1 in `release` is that of the ignore class."""
    return logits[:-1].softmax(dim=0) if compat == "none" else logits.softmax(dim=0)[:-1]


def confusion_matrix(
    truth: Int64[Tensor, "*pixels"], predicted: Int64[Tensor, "*pixels"], num_classes: int, ignore: int
) -> Int64[Tensor, "classes classes"]:
    """Counts of (true class, predicted class) pairs; a pair with either label outside the real classes is dropped."""
    real = (truth >= 0) & (truth < num_classes) & (predicted >= 0) & (predicted < num_classes)
    kept = real & (truth != ignore)
    pairs = truth[kept] * num_classes + predicted[kept]
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True)
class SegmentationScores:
    """A confusion matrix (rows: truth) and the scores that follow from it.

    The matrix of a union of pixels is the sum of the matrices, so states of images, shards and processes are added.
    """

    matrix: Int64[Tensor, "classes classes"]

    @classmethod
    def of(
        cls, truth: Int64[Tensor, "*pixels"], predicted: Int64[Tensor, "*pixels"], num_classes: int, ignore: int
    ) -> "SegmentationScores":
        """The state of one image, kept on the CPU."""
        return cls(confusion_matrix(truth, predicted, num_classes, ignore).cpu())

    @classmethod
    def empty(cls, num_classes: int) -> "SegmentationScores":
        """The state before any pixel was seen."""
        return cls(torch.zeros(num_classes, num_classes, dtype=torch.int64))

    def __add__(self, other: "SegmentationScores") -> "SegmentationScores":
        return SegmentationScores(self.matrix + other.matrix)

    def image(self, compat: Compat = "none") -> dict[str, float | None]:
        """Scores of one image over the classes of its truth; with no pixel to score None, or 0 as in `release`."""
        return self._scores(suffix="", empty=None if compat == "none" else 0.0)

    def dataset(self) -> dict[str, float | None]:
        """Scores over all pixels so far and the classes with at least one true pixel; None when there is none."""
        return self._scores(suffix="_dataset", empty=None)

    def per_class_iou(self, names: Sequence[str]) -> dict[str, float | None]:
        """Intersection over union by class name; None for a class without a true pixel."""
        ious, true_pixels = self._iou().tolist(), self.matrix.sum(dim=1).tolist()
        return {name: iou if n > 0 else None for name, iou, n in zip(names, ious, true_pixels, strict=True)}

    def _scores(self, suffix: str, empty: float | None) -> dict[str, float | None]:
        matrix = self.matrix.double()
        rows, hits = matrix.sum(dim=1), matrix.diagonal()
        present = rows > 0
        scores: dict[str, float | None] = dict.fromkeys(("miou", "total_accuracy", "class_accuracy"), empty)
        if present.any():
            scores = {
                "miou": float(self._iou()[present].mean()),
                "total_accuracy": float(hits.sum() / rows.sum()),
                "class_accuracy": float((hits / rows)[present].mean()),
            }
        return {name + suffix: value for name, value in scores.items()}

    def _iou(self) -> Float[Tensor, "classes"]:
        matrix = self.matrix.double()
        hits = matrix.diagonal()
        return hits / (matrix.sum(dim=0) + matrix.sum(dim=1) - hits)
