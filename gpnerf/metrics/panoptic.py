"""Panoptic quality (Kirillov et al., Panoptic Segmentation, CVPR 2019), of one view or of many views as one picture."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

# A segment is a class and an object as one number; stuff of a class is one object.
_OBJECTS = 2**32
VOID = -1
_MATCH = 0.5  # of the union; more than half of it can only be one segment's


def segments(
    classes: Int64[Tensor, "height width"],
    objects: Int64[Tensor, "height width"],
    num_classes: int,
    stuff: Collection[int],
) -> Int64[Tensor, "height width"]:
    """The segment that each pixel belongs to, by its class and its object.

    Pixels of no class (outside 0 .. num_classes - 1), and of a thing's class without object (negative), are void.
    """
    is_stuff = torch.isin(classes, torch.tensor(sorted(stuff), device=classes.device))
    owner = torch.where(is_stuff, 0, objects)
    void = (classes < 0) | (classes >= num_classes) | (owner < 0)
    return torch.where(void, VOID, classes * _OBJECTS + owner)


@dataclass(frozen=True)
class SegmentOverlaps:
    """How many pixels each true segment shares with each predicted one; the sum over views treats them as one picture.

    An object is then one segment in all of them, so that an id which changes between views splits it.
    """

    pixels: Mapping[tuple[int, int], int]

    @classmethod
    def of(cls, truth: Int64[Tensor, "height width"], predicted: Int64[Tensor, "height width"]) -> "SegmentOverlaps":
        """The overlaps of two maps of `segments`."""
        pairs, counts = torch.stack([truth.flatten(), predicted.flatten()], dim=1).unique(dim=0, return_counts=True)
        return cls({(a, b): count for (a, b), count in zip(pairs.tolist(), counts.tolist(), strict=True)})

    def __add__(self, other: "SegmentOverlaps") -> "SegmentOverlaps":
        every = self.pixels.keys() | other.pixels.keys()
        return SegmentOverlaps({pair: self.pixels.get(pair, 0) + other.pixels.get(pair, 0) for pair in every})

    def quality(self, num_classes: int) -> "PanopticQuality":
        """Matches of more than half of their union, and what is left without one.

        Void pixels of the truth belong to no predicted segment: they are out of its union, and a segment that mostly
        lies there is no mistake. Void of the prediction excuses nothing: a true segment under it is missed.
        """
        true, predicted = _sizes(self.pixels, side=0), _sizes(self.pixels, side=1)
        overlap, right, wrong, missed = (torch.zeros(num_classes, dtype=torch.float64) for _ in range(4))
        matched = set()
        for (a, b), shared in self.pixels.items():
            if VOID in (a, b) or a // _OBJECTS != b // _OBJECTS:
                continue
            union = true[a] + predicted[b] - shared - self.pixels.get((VOID, b), 0)
            if shared > _MATCH * union:
                overlap[a // _OBJECTS] += shared / union
                right[a // _OBJECTS] += 1
                matched |= {("truth", a), ("prediction", b)}
        for a in true:
            if a != VOID and ("truth", a) not in matched:
                missed[a // _OBJECTS] += 1
        for b, size in predicted.items():
            if b != VOID and ("prediction", b) not in matched and self.pixels.get((VOID, b), 0) <= _MATCH * size:
                wrong[b // _OBJECTS] += 1
        return PanopticQuality(overlap, right, wrong, missed)


@dataclass(frozen=True)
class PanopticQuality:
    """For each class: the sum of the matches' IoU, and how many matches, wrong and missed segments there are."""

    overlap: Float[Tensor, "classes"]
    right: Float[Tensor, "classes"]
    wrong: Float[Tensor, "classes"]
    missed: Float[Tensor, "classes"]

    def scores(self, stuff: Collection[int], suffix: str = "") -> dict[str, float | None]:
        """`pq` (= sq x rq class by class), `sq` and `rq`, means over the classes with any segment; `pq` of things and
        of stuff alone. None where there is no such class; `sq` of a class without match is 0.
        """
        segments = self.right + (self.wrong + self.missed) / 2
        seen = segments > 0
        is_stuff = torch.zeros_like(seen).index_fill(0, torch.tensor(sorted(stuff), dtype=torch.int64), True)
        recognised = self.right / segments.clamp(min=0.5)
        segmented = self.overlap / self.right.clamp(min=1)
        quality = {
            "pq": (recognised * segmented)[seen],
            "sq": segmented[seen],
            "rq": recognised[seen],
            "pq_things": (recognised * segmented)[seen & ~is_stuff],
            "pq_stuff": (recognised * segmented)[seen & is_stuff],
        }
        return {f"{name}{suffix}": float(of.mean()) if len(of) else None for name, of in quality.items()}


def _sizes(pixels: Mapping[tuple[int, int], int], side: int) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for pair, count in pixels.items():
        sizes[pair[side]] = sizes.get(pair[side], 0) + count
    return sizes
