"""Classes and instances of a view as one segmentation: stuff by its class, things by their instance."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpnerf.evaluation.instances import ChannelObjects
from gpnerf.metrics.panoptic import SegmentOverlaps, segments


@dataclass(frozen=True)
class PanopticMap:
    """The class of every pixel, and its instance; -1 where it has none, as stuff has."""

    classes: Int64[Tensor, "height width"]
    instances: Int64[Tensor, "height width"]

    @classmethod
    def predicted(
        cls,
        classes: Int64[Tensor, "height width"],
        instance_logits: Float[Tensor, "outputs height width"],
        objects: ChannelObjects,
        num_classes: int,
        stuff: Collection[int],
    ) -> "PanopticMap":
        """From the likeliest classes and the logits of instances.

        A thing belongs to its likeliest instance even where none is likelier still, but only pixels of a real class
        that are no likelier without instance say what class the instance has.
        """
        things = objects.likeliest_thing(instance_logits)
        sure = (objects.likeliest(instance_logits) == things) & (classes < num_classes)
        return cls.merged(classes, things, stuff, sure)

    @classmethod
    def merged(
        cls,
        classes: Int64[Tensor, "height width"],
        instances: Int64[Tensor, "height width"],
        stuff: Collection[int],
        sure: Bool[Tensor, "height width"] | None = None,
    ) -> "PanopticMap":
        """Stuff where the likeliest class is stuff; each instance (0 or more) has what is left of its pixels, all of
        the class that most of them have. One `sure` pixel outweighs all others.
        """
        is_thing = ~torch.isin(classes, torch.tensor(sorted(stuff)))
        owners = torch.where(is_thing, instances, -1)
        votes = torch.zeros(int(instances.max()) + 1, int(classes.max()) + 1, dtype=torch.int64)
        weights = torch.ones_like(classes) if sure is None else 1 + sure * classes.numel()
        votes.index_put_((owners[is_thing], classes[is_thing]), weights[is_thing], accumulate=True)
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
