"""Scores of renderings that are not finite: null, and one warning says which they are and why."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

Scores = dict[str, float | None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NotFinite:
    """Scores of one view that are null, and what they are of."""

    scores: tuple[str, ...]
    reason: str


def checked_scores(of: str, scores: Scores, *maps: Tensor | None) -> tuple[Scores, NotFinite | None]:
    """The scores of some rendered maps, all null if one of the maps holds NaN or infinity, else those that do.

    A score of such a map may well be finite, since a comparison with NaN is merely false, but it says nothing.
    `of` is what the maps are, in words.
    """
    known = [each for each in maps if each is not None]
    broken, total = sum(int((~each.isfinite()).sum()) for each in known), sum(each.numel() for each in known)
    reason = (
        f"{broken} of {total} numbers of the {of} are NaN or infinite" if broken else f"the {of} hold no such number"
    )
    lost = [name for name, value in scores.items() if value is not None and (broken or not math.isfinite(value))]
    if not lost:
        return scores, None
    return {**scores, **dict.fromkeys(lost)}, NotFinite(tuple(lost), reason)


def warn_of(faults: Mapping[tuple[str, int], Sequence[NotFinite]]) -> None:
    """One warning for all views, by scene and frame, that have such scores."""
    every = [(view, fault) for view, found in faults.items() for fault in found]
    if not every:
        return
    names = dict.fromkeys(name for _, fault in every for name in fault.scores)
    (scene, frame), first = every[0]
    _log.warning(
        "not finite, so null and left out of the means: %s, in %d views (the first: %s frame %d, where %s)",
        ", ".join(names),
        len({view for view, _ in every}),
        scene,
        frame,
        first.reason,
    )
