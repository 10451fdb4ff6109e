"""The report of a check: a Markdown file with its pictures beside it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpnerf.checking.census import PartCensus
from gpnerf.checking.contents import class_shares, depth_range
from gpnerf.checking.fits import middle
from gpnerf.checking.pose_matrices import duplicate_poses
from gpnerf.checking.scene_check import CameraCheck, SceneReport
from gpnerf.storage import write_whole
from gpnerf.visualize.png import save_picture

_NAME = "report.md"
_BEST = 3  # corrections that are shown
_CAPTIONS = {
    "frames": "Some frames",
    "epipolar": "Points of one frame and the lines on which the cameras expect them in the other: each should be on "
    "the line of its colour",
    "carried": "A frame, another, and the first made of the second by depth and cameras: both should show the same "
    "(grey: not seen, or at another depth)",
}


def write_report(folder: Path, reports: Sequence[SceneReport]) -> Path:
    """Write `report.md` and the pictures of every scene into a folder; the path of the report."""
    text = "\n".join(_lines(reports))
    for report in reports:
        for name, picture in report.pictures.items():
            save_picture(folder / _picture_name(report, name), picture)
    path = folder / _NAME
    write_whole(path, text)
    return path


def _lines(reports: Sequence[SceneReport]) -> Iterator[str]:
    faulty = [report for report in reports if not report.is_clean]
    yield f"# Check of {len(reports)} scenes: {len(faulty)} with mistakes\n"
    yield from _table(
        ("scene", "mistakes", "remarks", "matched points off by (px)"),
        ((f"[{r.name}](#{_anchor(r.name)})", _count(r, True), _count(r, False), _error(r.cameras)) for r in reports),
    )
    for report in reports:
        yield from _scene_lines(report)


def _scene_lines(report: SceneReport) -> Iterator[str]:
    yield f"## {report.name}\n"
    for finding in sorted(report.findings, key=lambda finding: not finding.is_mistake):
        yield f"- {'**mistake**: ' if finding.is_mistake else ''}{finding.text}"
    yield "" if report.findings else "Nothing to complain of.\n"
    yield from _files_table(report)
    labels = report.census["labels"].values if "labels" in report.census else None
    if report.recording is not None and labels is not None:
        shares = class_shares(report.recording, labels)
        yield "Classes: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) + "\n"
    if report.cameras is not None and report.cameras.pairs:
        yield from _camera_lines(report.cameras)
    for name in report.pictures:
        yield f"{_CAPTIONS[name]}:\n\n![{name}]({_picture_name(report, name)})\n"


def _files_table(report: SceneReport) -> Iterator[str]:
    if report.recording is None:
        return
    yield from _table(
        ("part", "files", "width x height", "broken", "values"),
        (
            (
                part,
                str(len(c.sizes) + len(c.broken)),
                _size(c),
                str(len(c.broken)),
                _values(part, c, report.recording.depth_unit),
            )
            for part, c in report.census.items()
        ),
    )
    poses = report.recording.poses
    doubles = sum(map(len, duplicate_poses(report.recording)))
    yield f"Poses: {len(poses)} of {len(report.recording.numbers)} frames, {doubles} shared with another frame.\n"


def _camera_lines(cameras: CameraCheck) -> Iterator[str]:
    height, width = cameras.size
    given, *others = cameras.fits
    best = sorted(others, key=lambda fit: fit.error)[:_BEST]
    yield f"How far matched points of {len(cameras.pairs)} pairs of frames ({width}x{height}) are from where the"
    yield f"cameras expect them (medians, pixels), and with the best {len(best)} of {len(others)} corrections:\n"
    yield from _table(
        ("if ...", "from epipolar line", "from place by depth"),
        (
            (fit.correction.mistake or "cameras are right", _pixels(fit.lines), _pixels(fit.places))
            for fit in (given, *best)
        ),
    )
    if (overlap := cameras.overlap) is not None:
        labels = "" if overlap.labels is None else f", and {overlap.labels:.1%} of the labels are equal"
        yield f"{overlap.shared:.0%} of the pixels with depth are found in the other frame at the same depth;"
        yield f"there colours differ by {overlap.colour:.1f} of 255{labels}.\n"


def _pixels(distances: Float[np.ndarray, "pairs"]) -> str:
    return f"{middle(distances):.2f}" if np.isfinite(distances).any() else ""


def _values(part: str, census: PartCensus, depth_unit: float) -> str:
    """Depth in words, or how many ids there are."""
    if census.values is None:
        return ""
    if part != "depth":
        return f"{(census.values > 0).sum()} ids"
    depth = depth_range(census.values, depth_unit)
    if depth is None:
        return "no depth"
    return f"{depth.least:.2f} to {depth.largest:.2f} m, median {depth.median:.2f} m, {depth.holes:.1%} holes"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield from (f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))
    yield ""


def _size(census: PartCensus) -> str:
    return "" if census.size is None else f"{census.size[1]}x{census.size[0]}"


def _count(report: SceneReport, mistakes: bool) -> str:
    return str(sum(finding.is_mistake == mistakes for finding in report.findings))


def _error(cameras: CameraCheck | None) -> str:
    return "not checked" if cameras is None or not cameras.pairs else f"{cameras.fits[0].error:.2f}"


def _anchor(name: str) -> str:
    """How Markdown viewers name a heading."""
    return name.lower().replace("/", "")


def _picture_name(report: SceneReport, name: str) -> str:
    return f"{report.name.replace('/', '_')}_{name}.png"
