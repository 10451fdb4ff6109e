"""Checks one scene: files, contents, poses, and whether cameras and pictures fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpnerf.camera_checks import implied_size
from gpnerf.checking.census import PartCensus, take_census, unusable_frames
from gpnerf.checking.contents import content_findings
from gpnerf.checking.corrections import corrections, unit_correction
from gpnerf.checking.findings import Finding, mistake, remark, some_of
from gpnerf.checking.fits import Fit, Overlap, depth_factor, fit_of, overlap_of
from gpnerf.checking.folders import SceneFolder
from gpnerf.checking.matching_points import MatchedPair
from gpnerf.checking.pairs import matched_pairs
from gpnerf.checking.pictures import Picture, carried_picture, epipolar_picture, frames_picture
from gpnerf.checking.pose_matrices import camera_findings
from gpnerf.checking.recording import Recording
from gpnerf.checking.verdict import judge
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError

_LARGEST_WIDTH = 640  # pictures are compared at this width at most: larger ones take longer and tell no more
_CACHE_BYTES = 500_000_000
_SHOWN_FRAMES, _SHOWN_PAIRS = 3, 3


@dataclass(frozen=True, eq=False)
class CameraCheck:
    """How the cameras fit, as given (first) and with each usual mistake undone; `overlap` is that of the given ones.

    `size` is the (height, width) of the pictures compared.
    """

    size: tuple[int, int]
    pairs: Sequence[MatchedPair]
    fits: Sequence[Fit]
    overlap: Overlap | None
    findings: Sequence[Finding]


@dataclass(frozen=True, eq=False)
class SceneReport:
    """All that a check has to say about one scene; what could not be looked at is None or empty."""

    name: str
    recording: Recording | None
    census: Mapping[str, PartCensus]
    cameras: CameraCheck | None
    findings: Sequence[Finding]
    pictures: Mapping[str, Picture]

    @property
    def is_clean(self) -> bool:
        """Whether there is no mistake."""
        return not any(finding.is_mistake for finding in self.findings)


def check_scene(folder: SceneFolder, pairs: int) -> SceneReport:
    """Check a scene, comparing up to `pairs` pairs of its frames; what is broken is reported, not raised."""
    try:
        recording = folder.read(folder.path, folder.name)
    except UserError as error:
        return SceneReport(folder.name, None, {}, None, [mistake(str(error))], {})
    census = take_census(recording)
    findings = [*recording.findings, *_gaps(recording), *content_findings(recording, census)]
    findings += camera_findings(recording)
    spoilt = unusable_frames(recording, census)
    scene = recording.scene(_LARGEST_WIDTH, FrameCache(_CACHE_BYTES), spoilt)
    if scene is None:
        findings += recording.refusals
        return SceneReport(folder.name, recording, census, None, findings, {})
    depth_size = census["depth"].size if "depth" in census else None
    cameras = check_cameras(scene, recording.size, depth_size, pairs)
    explained = any(finding.is_mistake for finding in cameras.findings)
    findings += cameras.findings if explained else (*recording.refusals, *cameras.findings)
    if recording.note and explained:
        findings.append(remark(recording.note))
    return SceneReport(
        folder.name, recording, census, cameras, findings, _pictures(scene, cameras, recording.class_names)
    )


def check_cameras(
    scene: Scene, colour_size: tuple[int, int], depth_size: tuple[int, int] | None, pairs: int
) -> CameraCheck:
    """Try the cameras of a scene, as given and with each usual mistake undone, on up to `pairs` pairs of its frames.

    Sizes are (height, width) of the files.
    """
    matched = matched_pairs(scene, pairs)
    middle = np.median([implied_size(matrix) for matrix in scene.intrinsics], axis=0)
    down, across = middle / (scene.form.height, scene.form.width) * colour_size
    tried = corrections(colour_size, depth_size, (float(down), float(across)))
    if (factor := depth_factor(scene, matched)) and (units := unit_correction(factor)):
        tried.append(units)
    fits = [fit_of(scene, matched, one) for one in tried]
    findings = judge(fits, matched, scene)
    return CameraCheck((scene.form.height, scene.form.width), matched, fits, overlap_of(scene, matched), findings)


def _gaps(recording: Recording) -> list[Finding]:
    """Parts that the scene does not have, as a whole or for some frames."""
    files, found = recording.files, []
    for part, series in (("depth", files.depth), ("label", files.labels)):
        if series is None:
            found.append(remark(f"no {part} files"))
        elif series.missing:
            found.append(remark(f"{len(series.missing)} frames have no {part} file: {some_of(sorted(series.missing))}"))
    return found


def _pictures(scene: Scene, cameras: CameraCheck, class_names: Sequence[str]) -> dict[str, Picture]:
    """Some frames; the worst, a middling and the best pair under the given cameras and, if others are right, those."""
    frames = np.unique(np.linspace(0, len(scene) - 1, _SHOWN_FRAMES).round().astype(int)).tolist()
    pictures = {"frames": frames_picture(scene, frames, class_names)}
    if not cameras.pairs:
        return pictures
    worst_first = np.argsort(-cameras.fits[0].errors)  # NaN last
    shown = np.unique(np.linspace(0, len(cameras.pairs) - 1, _SHOWN_PAIRS).round().astype(int))
    pairs = [cameras.pairs[worst_first[k]] for k in shown]
    best = min(cameras.fits, key=lambda fit: fit.error)
    scenes = {"as given": scene}
    if best is not cameras.fits[0] and any(finding.is_mistake for finding in cameras.findings):
        scenes["corrected"] = best.correction.applied(scene)
    pictures["epipolar"] = epipolar_picture(scenes, pairs)
    if cameras.overlap is not None:
        pictures["carried"] = carried_picture(scenes, pairs)
    return pictures
