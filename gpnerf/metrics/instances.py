"""Average precision of instance masks in one image, as DM-NeRF computes it."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpnerf.matching import assign, pairwise_iou

THRESHOLDS = (0.5, 0.75, 0.8, 0.85, 0.9, 0.95)
# A true instance of fewer pixels is small; what it scores says more of the image's size than of the method.
SMALL = 50
# What a true map holds where there is no instance, and where nothing counts.
NONE, LEFT_OUT = -1, -2

# What a wrong pixel costs in the matching: the cross entropy of a hard mask whose logarithm is kept finite by 1e-8.
_WRONG_PIXEL = -math.log(1e-8)


@dataclass(frozen=True)
class Masks:
    """Instances of an image by ascending number (channel or id), over its pixels that count."""

    numbers: Int64[Tensor, "masks"]
    masks: Bool[Tensor, "masks pixels"]
    confidence: Float[Tensor, "masks"]


@dataclass(frozen=True)
class InstanceMatches:
    """Every true instance of an image with the predicted one that it is matched with.

    `truth` are the ids of the true instances (ascending) and `sizes` their pixels; `channel` is the predicted one's
    number (-1 where there is none), `iou` their overlap and `confidence` the prediction's (both 0 without one).
    """

    truth: Int64[Tensor, "objects"]
    sizes: Int64[Tensor, "objects"]
    channel: Int64[Tensor, "objects"]
    iou: Float[Tensor, "objects"]
    confidence: Float[Tensor, "objects"]

    def average_precision(self, threshold: float) -> float | None:
        """Area under the falling envelope of precision over recall; None in an image without an instance.

        A match is right if its overlap is above the threshold. Predictions that are matched with nothing are not
        counted, as in DM-NeRF.
        """
        if not len(self.truth):
            return None
        right = (self.iou > threshold)[self.confidence.argsort(descending=True, stable=True)].double()
        hits = right.cumsum(0)
        precision = hits / torch.arange(1, len(right) + 1)
        envelope = precision.flip(0).cummax(0).values.flip(0)
        return float((envelope * right).sum() / len(right))

    def small_recall(self, threshold: float) -> float | None:
        """Share of the small true instances that are matched with an overlap above the threshold; None without any."""
        small = self.sizes < SMALL
        return float((self.iou[small] > threshold).double().mean()) if small.any() else None


def match_instances(
    probabilities: Float[Tensor, "channels height width"],
    truth: Int64[Tensor, "height width"],
    none: int | None = None,
) -> InstanceMatches:
    """Match an image's true instances with the regions where one channel is the likeliest.

    The matching has the least sum of 1 - IoU and of the cross entropy of the masks; regions stand beside empty ones
    for the channels that win nowhere. Where channel `none` is the likeliest there is no region. `truth` holds ids,
    `NONE` (no region should be there) or `LEFT_OUT`.
    """
    regions, objects = find_regions(probabilities, truth, none), true_objects(truth)
    empty = max(len(probabilities) - (none is not None), len(objects.numbers)) - len(regions.numbers)
    masks = torch.cat([regions.masks, regions.masks.new_zeros(empty, regions.masks.shape[1])])
    overlap = pairwise_iou(objects.masks.double(), masks.double())
    rows, columns = assign(_WRONG_PIXEL * _wrong_share(objects.masks, masks) + 1 - overlap)
    numbers = torch.cat([regions.numbers, torch.full((empty,), -1)])
    confidence = torch.cat([regions.confidence, torch.zeros(empty)])
    sizes = objects.masks.sum(dim=1)
    return InstanceMatches(objects.numbers, sizes, numbers[columns], overlap[rows, columns], confidence[columns])


def find_regions(
    probabilities: Float[Tensor, "channels height width"], truth: Int64[Tensor, "height width"], none: int | None
) -> Masks:
    """Where each channel is the likeliest, among the pixels that count; channel `none` has no region.

    A region's confidence is the median of its largest probabilities.
    """
    largest, winner = probabilities[:, truth != LEFT_OUT].max(dim=0)
    channels = winner[winner != none].unique() if none is not None else winner.unique()
    masks = winner == channels[:, None]
    return Masks(channels, masks, torch.tensor([_median(largest[mask]) for mask in masks], dtype=torch.float32))


def true_objects(truth: Int64[Tensor, "height width"]) -> Masks:
    """The instances of a map of ids, `NONE` and `LEFT_OUT`, among the pixels that count; all of them are certain."""
    counted = truth[truth != LEFT_OUT]
    ids = counted[counted != NONE].unique()
    return Masks(ids, counted == ids[:, None], torch.ones(len(ids)))


def without_small(truth: Int64[Tensor, "height width"]) -> Int64[Tensor, "height width"]:
    """The same with the pixels of small instances left out."""
    ids, place, sizes = truth.unique(return_inverse=True, return_counts=True)
    return torch.where((sizes < SMALL) & (ids != NONE), LEFT_OUT, ids)[place]


def average_precisions(matches: InstanceMatches, suffix: str = "") -> dict[str, float | None]:
    """`ap50`, `ap75`, ... of an image."""
    return {f"ap{round(100 * t)}{suffix}": matches.average_precision(t) for t in THRESHOLDS}


def _wrong_share(
    truth: Bool[Tensor, "objects pixels"], predicted: Bool[Tensor, "channels pixels"]
) -> Float[Tensor, "objects channels"]:
    """Share of the pixels on which each two masks differ."""
    a, b = truth.double(), predicted.double()
    return (a @ (1 - b).T + (1 - a) @ b.T) / max(1, truth.shape[1])


def _median(values: Float[Tensor, "pixels"]) -> float:
    return float(values.double().quantile(0.5))  # the mean of the two middle ones of an even number
