"""What poses and intrinsics say about themselves, before any picture is looked at."""

from collections import defaultdict

import numpy as np
from jaxtyping import Float

from gpnerf.checking.findings import Finding, mistake, remark, some_of
from gpnerf.checking.recording import Recording

_ROUNDING = 1e-2  # of a rotation that was written with few digits
_CENTRE = 0.2  # of the picture's size, by which a principal point may be off its middle


def camera_findings(recording: Recording) -> list[Finding]:
    """Poses that are not finite, no rigid motion or the same in several frames; a principal point far off."""
    poses = recording.poses
    spoilt = [number for number, pose in poses.items() if not np.isfinite(pose).all()]
    crooked = [n for n, pose in poses.items() if n not in set(spoilt) and not is_rigid(pose)]
    found = []
    if spoilt:
        text = f"{len(spoilt)} of {len(poses)} poses hold inf or NaN: frames {some_of(spoilt)}"
        found.append(mistake(text) if len(spoilt) == len(poses) else remark(f"{text}; readers drop these frames"))
    if crooked:
        found.append(
            mistake(f"{len(crooked)} poses are no rotation and translation (last row 0 0 0 1): {some_of(crooked)}")
        )
    return found + _duplicate_findings(recording) + _intrinsics_findings(recording)


def is_rigid(pose: Float[np.ndarray, "4 4"]) -> bool:
    """Whether a matrix is a rotation (not a reflection) and a translation."""
    rotation = pose[:3, :3]
    straight = np.abs(rotation @ rotation.T - np.eye(3)).max() < _ROUNDING and np.linalg.det(rotation) > 0
    return bool(straight and np.abs(pose[3] - [0, 0, 0, 1]).max() < _ROUNDING)


def duplicate_poses(recording: Recording) -> list[tuple[int, ...]]:
    """The groups of frames that have the same finite pose to the last digit."""
    groups = defaultdict(list)
    for number, pose in recording.poses.items():
        if np.isfinite(pose).all():
            groups[pose.tobytes()].append(number)
    return [tuple(frames) for frames in groups.values() if len(frames) > 1]


def _duplicate_findings(recording: Recording) -> list[Finding]:
    groups = duplicate_poses(recording)
    if not groups:
        return []
    frames = sum(map(len, groups))
    text = f"{frames} of {len(recording.poses)} frames share their pose with another: {some_of(groups)}"
    return [mistake(text) if max(map(len, groups)) > len(recording.poses) / 2 else remark(text)]


def _intrinsics_findings(recording: Recording) -> list[Finding]:
    if recording.intrinsics is None:
        return []
    height, width = recording.size
    x, y = recording.intrinsics.reshape(-1, 3, 3)[:, :2, 2].mean(axis=0)
    if abs(x + 0.5 - width / 2) <= _CENTRE * width and abs(y + 0.5 - height / 2) <= _CENTRE * height:
        return []
    implied = f"{2 * x + 1:.0f}x{2 * y + 1:.0f}"
    return [
        remark(f"intrinsics: the principal point is the middle of a {implied} picture, but files are {width}x{height}")
    ]
