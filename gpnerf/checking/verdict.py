"""Do a scene's cameras fit its pictures, and if not, which usual mistake explains it."""

from collections.abc import Sequence

import numpy as np

from gpnerf.checking.findings import Finding, mistake, remark, some_of
from gpnerf.checking.fits import Fit
from gpnerf.checking.matching_points import MatchedPair
from gpnerf.data.scene import Scene

_LEAST_PAIRS = 3
# Errors as shares of the picture's width: below the first nothing is wrong, above the second it is worth a
# remark (trackers drift), and no drift explains what is above the last.
_SOUND, _ROUGH, _WRONG = 0.005, 0.01, 0.03
_WRONG_OF_MOTION = 0.25  # the same as a share of how far points move between the frames
_LEAST_ERROR = 0.75  # pixels; a match in a small picture is not placed more finely
_BETTER = 0.5  # a correction explains a mistake if it leaves less than this share of the error,
_EXPLAINED = 3.0  # and no more than a few pixels: what is left is another mistake


def judge(fits: Sequence[Fit], pairs: Sequence[MatchedPair], scene: Scene) -> list[Finding]:
    """What the fits say; the first is that of the cameras as they are given."""
    if len(pairs) < _LEAST_PAIRS or not np.isfinite(fits[0].error):
        return [remark(f"cameras not checked: {len(pairs)} pairs of frames share enough points; {_LEAST_PAIRS} must")]
    given, best, width = fits[0], min(fits, key=lambda fit: fit.error), scene.form.width
    tolerance = max(_SOUND * width, _LEAST_ERROR)
    measured = f"{_expected(given)} by {given.error:.1f} px"
    if given.error > tolerance and best.error < min(_BETTER * given.error, max(_EXPLAINED, tolerance)):
        wrong = f"{best.correction.mistake}: {measured}, corrected by {best.error:.1f} px"
        gain = given.error / max(best.error, _LEAST_ERROR)
        return [mistake(f"{wrong} ({gain:.0f} times less); {best.correction.remedy}")]
    wrong_from = min(_WRONG * width, _WRONG_OF_MOTION * float(np.median([pair.motion for pair in pairs])))
    if given.error > max(wrong_from, tolerance):
        return [mistake(f"cameras do not fit the pictures: {measured}; none of the usual mistakes explains it")]
    if given.error > _ROUGH * width:
        return [remark(f"cameras fit only roughly: {measured}")]
    return _odd_pairs(given, pairs, scene)


def _odd_pairs(given: Fit, pairs: Sequence[MatchedPair], scene: Scene) -> list[Finding]:
    """Single pairs that are far off where most fit: frames that were tracked badly."""
    odd = [k for k, error in enumerate(given.errors) if error > _WRONG * scene.form.width]
    frames = some_of(
        f"{scene.numbers[pairs[k].first]} and {scene.numbers[pairs[k].second]} ({given.errors[k]:.0f} px)" for k in odd
    )
    return [remark(f"cameras of {len(odd)} of {len(pairs)} pairs of frames do not fit: {frames}")] if odd else []


def _expected(fit: Fit) -> str:
    return "matched points miss " + ("the places where depth puts them" if fit.by_depth else "their epipolar lines")
