"""Classes and instances of a view as one segmentation: stuff by its class, things by their instance."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from gpnerf.metrics.panoptic import SegmentOverlaps, segments


@dataclass(frozen=True)
class PanopticMap:
    """The class of every pixel, and its instance; -1 where it has none, as stuff has."""

    classes: Int64[Tensor, "height width"]
    instances: Int64[Tensor, "height width"]

    @classmethod
    def merged(
        cls, classes: Int64[Tensor, "height width"], instances: Int64[Tensor, "height width"], stuff: Collection[int]
    ) -> "PanopticMap":
        """Stuff where the likeliest class is stuff; each instance (0 or more) has what is left of its pixels, all of
        the class that most of them have.
        """
        is_thing = ~torch.isin(classes, torch.tensor(sorted(stuff)))
        owners = torch.where(is_thing, instances, -1)
        votes = torch.zeros(int(instances.max()) + 1, int(classes.max()) + 1, dtype=torch.int64)
        votes.index_put_((owners[is_thing], classes[is_thing]), torch.tensor(1), accumulate=True)
        return cls(torch.where(is_thing, votes.argmax(dim=1)[owners.clamp(min=0)], classes), owners)

    def numbered(self, stuff: Sequence[int]) -> Int64[Tensor, "height width"]:
        """One number a segment: the place in `stuff` of its class, or behind those its instance; -1 for neither."""
        numbers = torch.where(self.instances >= 0, len(stuff) + self.instances, -1)
        for place, kind in enumerate(stuff):
            numbers = torch.where(self.classes == kind, place, numbers)
        return numbers

    def overlaps(
        self,
        labels: Int64[Tensor, "height width"],
        instances: Int64[Tensor, "height width"],
        num_classes: int,
        stuff: Collection[int],
    ) -> SegmentOverlaps:
        """What the truth's segments share with these. Things without an instance are void, like unlabelled pixels."""
        truth = segments(labels, instances, num_classes, stuff)
        return SegmentOverlaps.of(truth, segments(self.classes, self.instances, num_classes, stuff))
