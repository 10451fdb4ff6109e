"""What poses and intrinsics say about themselves, before any picture is looked at."""

from collections import defaultdict

from gpnerf.camera_checks import implied_size, is_off_middle, pose_fault, pose_is_lost
from gpnerf.checking.findings import Finding, mistake, remark, some_of
from gpnerf.checking.recording import Recording


def camera_findings(recording: Recording) -> list[Finding]:
    """Poses of lost cameras, poses that are none, or the same in several frames; a principal point far off."""
    poses = recording.poses
    lost = [number for number, pose in poses.items() if pose_is_lost(pose)]
    faults = {n: fault for n, pose in poses.items() if n not in set(lost) and (fault := pose_fault(pose))}
    found = []
    if lost:
        text = f"{len(lost)} of {len(poses)} poses hold inf, NaN or zeros: frames {some_of(lost)}"
        found.append(mistake(text) if len(lost) == len(poses) else remark(f"{text}; readers drop these frames"))
    if faults:
        text = f"{len(faults)} poses are no rotation and shift: frames {some_of(faults)}"
        found.append(mistake(f"{text}; the first has {next(iter(faults.values()))}"))
    return found + _duplicate_findings(recording) + _intrinsics_findings(recording)


def duplicate_poses(recording: Recording) -> list[tuple[int, ...]]:
    """The groups of frames that have the same pose to the last digit."""
    groups = defaultdict(list)
    for number, pose in recording.poses.items():
        if not pose_is_lost(pose):
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
    mean = recording.intrinsics.mean(axis=0)
    if not is_off_middle(mean, height, width):
        return []
    down, across = implied_size(mean)
    implied = f"{across:.0f}x{down:.0f}"
    return [
        remark(f"intrinsics: the principal point is the middle of a {implied} picture, but files are {width}x{height}")
    ]
