"""Average precision of instance masks as COCO defines it: all views of a scene at once, and false positives count."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpnerf.metrics.instances import find_regions, true_objects

# COCO's overlaps that a hit needs at least, and the recalls at which precision is read.
_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Detections:
    """The predicted instances of some views; the sum over views joins them, in this order.

    `hits` says which of them find a true instance at each overlap, `objects` how many true instances there are.
    """

    confidence: Float[Tensor, "detections"]
    hits: Bool[Tensor, "thresholds detections"]
    objects: int

    @classmethod
    def of(
        cls,
        probabilities: Float[Tensor, "channels height width"],
        truth: Int64[Tensor, "height width"],
        none: int | None = None,
    ) -> "Detections":
        """The regions where one channel is the likeliest, as in `match_instances`; the most confident choose first."""
        regions, objects = find_regions(probabilities, truth, none), true_objects(truth)
        order = regions.confidence.argsort(descending=True, stable=True)
        masks, truths = regions.masks[order].double(), objects.masks.double()
        shared = masks @ truths.T
        overlap = shared / (masks.sum(dim=1)[:, None] + truths.sum(dim=1) - shared)
        hits = torch.tensor(
            [_hits(overlap.tolist(), threshold) for threshold in _THRESHOLDS.tolist()], dtype=torch.bool
        )
        return cls(regions.confidence[order], hits, len(truths))

    def __add__(self, other: "Detections") -> "Detections":
        confidence = torch.cat([self.confidence, other.confidence])
        return Detections(confidence, torch.cat([self.hits, other.hits], dim=1), self.objects + other.objects)

    def scores(self) -> dict[str, float | None]:
        """`ap_coco`, the mean over the overlaps .50, .55 to .95, and `ap50_coco`; None without any true instance.

        Ranked by confidence, every detection that finds nothing, or what a more confident one has found, lowers the
        precision. The number of detections in a view is not limited.
        """
        if not self.objects:
            return {"ap_coco": None, "ap50_coco": None}
        order = self.confidence.argsort(descending=True, stable=True)
        each = [_average_precision(hits.numpy(), self.objects) for hits in self.hits[:, order]]
        return {"ap_coco": float(np.mean(each)), "ap50_coco": each[0]}


def _hits(overlaps: Sequence[Sequence[float]], threshold: float) -> list[bool]:
    """Whether each detection finds a true instance that no earlier one has found: the one it overlaps most."""
    free, hits = set(range(len(overlaps[0]) if overlaps else 0)), []
    for overlap in overlaps:
        best = max(free, key=overlap.__getitem__, default=None)
        hit = best is not None and overlap[best] >= threshold
        free -= {best} if hit else set()
        hits.append(hit)
    return hits


def _average_precision(hits: Bool[np.ndarray, "detections"], objects: int) -> float:
    """Mean over 101 recalls of the highest precision at that recall or a higher one, 0 where it is never reached."""
    found = hits.cumsum()
    precision = found / np.arange(1, len(found) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / objects, _RECALLS)  # the same rounding as in COCO's program
    return float(np.append(envelope, 0.0)[places].mean())
