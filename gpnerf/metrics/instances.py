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

    A region's confidence is the median of its largest probabilities. The matching has the least sum of 1 - IoU and of
    the cross entropy of the masks; regions stand beside empty ones for the channels that win nowhere. Where channel
    `none` is the likeliest there is no region. `truth` holds ids, `NONE` (no region should be there) or `LEFT_OUT`.
    """
    counted = truth != LEFT_OUT
    largest, winner = probabilities[:, counted].max(dim=0)
    ids, sizes = truth[counted & (truth != NONE)].unique(return_counts=True)
    channels = winner[winner != none].unique() if none is not None else winner.unique()
    regions, objects = winner == channels[:, None], truth[counted] == ids[:, None]
    empty = max(len(probabilities) - (none is not None), len(ids)) - len(channels)
    masks = torch.cat([regions.double(), torch.zeros(empty, regions.shape[1], dtype=torch.float64)])
    overlap = pairwise_iou(objects.double(), masks)
    rows, columns = assign(_WRONG_PIXEL * _wrong_share(objects, masks.bool()) + 1 - overlap)
    confidence = torch.tensor([*(_median(largest[region]) for region in regions), *[0.0] * empty])
    numbers = torch.cat([channels, torch.full((empty,), -1)])
    return InstanceMatches(ids, sizes, numbers[columns], overlap[rows, columns], confidence[columns])


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
