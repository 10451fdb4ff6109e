"""What the census of a scene says about its files: sizes that differ, depth, and label ids."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from gpnerf.checking.census import PartCensus
from gpnerf.checking.findings import Finding, broken_files, mistake, remark, some_of
from gpnerf.checking.recording import Recording

_ROOM_DEPTH = (0.3, 15.0)  # metres; the middle depth of a room is hardly ever outside
_SAME_SHAPE = 0.02  # widths over heights that differ by more do not show the same view
_MANY_HOLES = 0.5


@dataclass(frozen=True)
class DepthRange:
    """Metres of the known pixels, and the share of pixels without depth."""

    least: float
    median: float
    largest: float
    holes: float


def depth_range(values: Int64[np.ndarray, "values"], unit: float) -> DepthRange | None:
    """From the number of pixels of each step of `unit` metres, 0 for none; None if no pixel has depth."""
    known, steps = values.copy(), 1 / unit
    known[0] = 0
    if not known.any():
        return None
    metres = np.flatnonzero(known)[[0, -1]] / steps
    median = np.searchsorted(known.cumsum(), known.sum() / 2) / steps
    return DepthRange(float(metres[0]), float(median), float(metres[1]), float(values[0] / values.sum()))


def class_shares(recording: Recording, values: Int64[np.ndarray, "values"]) -> dict[str, float]:
    """The share of the labelled pixels of each class that occurs, the commonest first, and of "ignored"."""
    if recording.label_map is None:
        return {}
    classes = recording.label_map.to_train(np.arange(len(values))[None])[0]
    pixels = np.bincount(classes, values, minlength=recording.label_map.ignore + 1)
    shares = dict(zip((*recording.class_names, "ignored"), (pixels / max(pixels.sum(), 1)).tolist(), strict=True))
    return dict(sorted(((name, share) for name, share in shares.items() if share), key=lambda item: -item[1]))


def strange_ids(recording: Recording, values: Int64[np.ndarray, "values"]) -> dict[int, int]:
    """The pixels of each label id that the class table does not have."""
    if recording.label_map is None:
        return {}
    outside = np.setdiff1d(np.flatnonzero(values), recording.label_map.raw_ids)
    return {int(raw): int(values[raw]) for raw in outside}


def content_findings(recording: Recording, census: Mapping[str, PartCensus]) -> list[Finding]:
    """What is wrong with, or worth knowing about, the files' contents."""
    found = [finding for part, each in census.items() for finding in _part_findings(recording, part, each)]
    if "depth" in census and census["depth"].values is not None:
        found += _depth_findings(depth_range(census["depth"].values, recording.depth_unit))
    if "labels" in census and census["labels"].values is not None:
        found += _label_findings(recording, census["labels"].values)
    return found


def _part_findings(recording: Recording, part: str, census: PartCensus) -> list[Finding]:
    fits = _same_size if part == "colour" else _same_shape
    odd = [n for n, size in census.sizes.items() if not fits(size, recording.size_of(n))]
    frames = some_of(f"{n} ({_text(census.sizes[n])}, not {_text(recording.size_of(n))})" for n in odd)
    what = "size" if part == "colour" else "shape"
    sizes = [mistake(f"{part}: {len(odd)} files have another {what} than their camera: frames {frames}")] if odd else []
    return broken_files(list(census.broken.values())) + sizes


def _same_size(size: tuple[int, int], expected: tuple[int, int]) -> bool:
    return size == expected


def _same_shape(size: tuple[int, int], expected: tuple[int, int]) -> bool:
    return abs(size[1] * expected[0] / (size[0] * expected[1]) - 1) <= _SAME_SHAPE


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _depth_findings(depth: DepthRange | None) -> list[Finding]:
    if depth is None:
        return [mistake("depth: no pixel of any file has depth")]
    found = []
    if not _ROOM_DEPTH[0] <= depth.median <= _ROOM_DEPTH[1]:
        found.append(remark(f"depth: the median is {depth.median:g} m: are the files in millimetres?"))
    if depth.holes > _MANY_HOLES:
        found.append(remark(f"depth: {depth.holes:.0%} of the pixels have none"))
    return found


def _label_findings(recording: Recording, values: Int64[np.ndarray, "values"]) -> list[Finding]:
    strangers, labels = strange_ids(recording, values), recording.label_map
    found = []
    if strangers and labels is not None:
        ids = some_of(f"{raw} ({count} pixels)" for raw, count in sorted(strangers.items(), key=lambda item: -item[1]))
        text = f"labels: {len(strangers)} ids are not in {labels.source}: {ids}"
        found.append(
            mistake(f"{text}; take the table that belongs to these labels")
            if labels.closed
            else remark(f"{text}; they are ignored")
        )
    if labels is not None and set(class_shares(recording, values)) == {"ignored"}:
        found.append(mistake(f"labels: no pixel has a class of {labels.source}"))
    return found
