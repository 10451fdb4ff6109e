"""How well a scene's cameras, as given or corrected, fit its pictures: numbers over all pairs of frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.checking.agreement import carry, depth_distances, epipolar_distances
from gpnerf.checking.corrections import Correction
from gpnerf.checking.matching_points import MatchedPair
from gpnerf.data.scene import Scene

_STRIDE = 4  # of the pixels that are carried over


@dataclass(frozen=True)
class Fit:
    """How far matched points are from where the cameras expect them: the median of each pair, in pixels.

    `lines` from their epipolar lines (NaN where the cameras of a pair stand at one place), `places` from where depth
    puts them (NaN without depth).
    """

    correction: Correction
    lines: Float[np.ndarray, "pairs"]
    places: Float[np.ndarray, "pairs"]

    @property
    def by_depth(self) -> bool:
        """Whether depth tells."""
        return bool(np.isfinite(self.places).any())

    @property
    def errors(self) -> Float[np.ndarray, "pairs"]:
        """What decides: the distances from places if depth tells, else from lines."""
        return self.places if self.by_depth else self.lines

    @property
    def error(self) -> float:
        """The median over all pairs; infinite if no pair has a value."""
        return middle(self.errors)


@dataclass(frozen=True)
class Overlap:
    """What both frames of a pair show of the same surfaces: the share of pixels with depth that the other shows too,
    and there the mean difference of colours (of 255) and the share of equal labels (None without labels)."""

    shared: float
    colour: float
    labels: float | None


def fit_of(scene: Scene, pairs: Sequence[MatchedPair], correction: Correction) -> Fit:
    """How well the cameras fit with one mistake undone."""
    corrected = correction.applied(scene)
    lines = [np.median(epipolar_distances(corrected, pair)) for pair in pairs]
    places = [depth_distances(corrected, pair) for pair in pairs]
    return Fit(correction, np.array(lines), np.array([np.median(each) if len(each) else np.nan for each in places]))


def overlap_of(scene: Scene, pairs: Sequence[MatchedPair]) -> Overlap | None:
    """The means over all pairs; None where no pair has depth."""
    parts = [part for pair in pairs if (part := _overlap(scene, pair)) is not None]
    if not parts:
        return None
    labels = [part.labels for part in parts if part.labels is not None]
    colours = [part.colour for part in parts if np.isfinite(part.colour)]
    return Overlap(
        float(np.mean([part.shared for part in parts])),
        float(np.mean(colours)) if colours else float("nan"),
        float(np.mean(labels)) if labels else None,
    )


def depth_factor(scene: Scene, pairs: Sequence[MatchedPair]) -> float | None:
    """What the depth files must be multiplied with to fit the poses: the median over matched points that the poses
    alone place in space; None where there are none, or no depth."""
    factors = [_factors(scene, pair) for pair in pairs]
    joined = np.concatenate([factor for factor in factors if factor is not None] or [np.zeros(0)])
    return float(np.median(joined)) if len(joined) else None


def _factors(scene: Scene, pair: MatchedPair) -> Float[np.ndarray, "points"] | None:
    depth = scene.depth(pair.first)
    if depth is None:
        return None
    to_first, to_second = (
        scene.intrinsics[frame] @ np.linalg.inv(scene.cam_to_world[frame])[:3] for frame in (pair.first, pair.second)
    )
    points = cv2.triangulatePoints(to_first, to_second, pair.first_points.T, pair.second_points.T).astype(float)
    triangulated = to_first[2] @ (points / points[3])
    columns, rows = pair.first_points.round().astype(int).T
    stored = depth.numpy()[rows.clip(0, depth.shape[0] - 1), columns.clip(0, depth.shape[1] - 1)]
    usable = (stored > 0) & np.isfinite(triangulated) & (triangulated > 0)
    return triangulated[usable] / stored[usable]


def _overlap(scene: Scene, pair: MatchedPair) -> Overlap | None:
    carried = carry(scene, pair.first, pair.second, _STRIDE)
    if carried is None or not carried.known.any():
        return None
    (x, y), (to_x, to_y) = carried.pixels[carried.shared].T, carried.places[carried.shared].T
    first, second = scene.images([pair.first, pair.second])
    colour = 255 * (first[:, y, x] - second[:, to_y, to_x]).abs().mean().item()
    return Overlap(
        carried.shared.sum().item() / carried.known.sum().item(),
        colour,
        _equal_labels(scene, pair, carried.pixels[carried.shared], carried.places[carried.shared]),
    )


def _equal_labels(
    scene: Scene, pair: MatchedPair, pixels: Int64[Tensor, "pixels 2"], places: Int64[Tensor, "pixels 2"]
) -> float | None:
    """The share of equal classes where both frames have one."""
    first, second = scene.labels(pair.first), scene.labels(pair.second)
    if first is None or second is None or scene.label_map is None:
        return None
    here, there = first[pixels[:, 1], pixels[:, 0]], second[places[:, 1], places[:, 0]]
    labelled = (here != scene.label_map.ignore) & (there != scene.label_map.ignore)
    return (here == there)[labelled].float().mean().item() if labelled.any() else None


def middle(values: Float[np.ndarray, "values"]) -> float:
    """The median of the numbers among the values; infinite if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("inf")
