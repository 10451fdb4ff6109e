"""The one rule for cameras: what is a pose, and which intrinsics belong to a picture."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gpnerf.camera_checks import (
    implied_size,
    intrinsics_fault,
    is_off_middle,
    other_size,
    pose_fault,
    pose_is_lost,
    require_intrinsics,
    require_pose,
)
from gpnerf.errors import UserError

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.tuples(st.integers(24, 4000), st.integers(24, 4000))  # height, width


def pose_of(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(rng=rng).as_matrix()
    pose[:3, 3] = rng.normal(scale=5, size=3)
    return pose


def camera_of(size: tuple[int, int], angle: float = 60.0, aspect: float = 1.0) -> np.ndarray:
    """Intrinsics of a horizontal field of view (degrees), the principal point in the middle."""
    height, width = size
    focal = width / 2 / np.tan(np.deg2rad(angle) / 2)
    return np.array([[focal, 0, (width - 1) / 2], [0, aspect * focal, (height - 1) / 2], [0, 0, 1]])


@given(SEEDS)
def test_a_pose_written_with_six_decimals_is_one(seed: int) -> None:
    pose = pose_of(seed)
    text = " ".join(f"{number:.6f}" for number in pose.ravel())
    for read in (pose, pose.astype(np.float32), np.array(text.split(), float).reshape(4, 4), np.linalg.inv(pose)):
        assert pose_fault(read) is None and not pose_is_lost(read)
    assert require_pose(pose, "file", "mend it") is pose


@given(SEEDS, st.floats(0.002, 10.0), st.integers(0, 2), st.integers(0, 2))
def test_whatever_stretches_shears_or_mirrors_is_none(seed: int, much: float, axis: int, other: int) -> None:
    pose, change = pose_of(seed), np.eye(4)
    change[axis, axis] = 1 + much
    assert "axes of length" in (pose_fault(pose @ change) or "")
    assert "(a scaled rotation)" in (pose_fault(pose @ np.diag([1 + much] * 3 + [1])) or "")
    change[axis, axis] = -1
    assert pose_fault(pose @ change) == "a mirrored (left-handed) rotation"
    assume(axis != other)
    shear = np.eye(4)
    shear[axis, axis], shear[other, axis] = np.cos(min(much, 1)), np.sin(min(much, 1))
    assert pose_fault(pose @ shear) == "axes that are not perpendicular"


@given(SEEDS, st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 15))
def test_what_is_lost_is_no_pose_and_says_so(seed: int, value: float, place: int) -> None:
    pose = pose_of(seed)
    pose.ravel()[place] = value
    assert pose_is_lost(pose) and pose_fault(pose) == "inf or NaN"
    for zeros in (np.zeros((4, 4)), np.diag([0.0, 0, 0, 1]), -np.zeros((4, 4))):
        assert pose_is_lost(zeros) and "zeros" in (pose_fault(zeros) or "")


@given(SEEDS)
def test_other_last_rows_and_far_places_are_no_pose(seed: int) -> None:
    pose = pose_of(seed)
    assert "(it is transposed)" in (pose_fault(pose.T) or "")
    projective = pose.copy()
    projective[3] = [0, 0, 0.01, 1]
    assert (fault := pose_fault(projective)) and "0 0 0.01 1" in fault and "transposed" not in fault
    pose[1, 3] = 1e30  # no number of 32 bits after a product
    assert "too far" in (pose_fault(pose) or "")
    assert pose_fault(np.diag([1e300, 1, 1, 1])) and pose_fault(np.full((4, 4), 1e308))


@given(SIZES, st.floats(8, 150), st.floats(0.8, 1.25), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_real_cameras_pass(size: tuple[int, int], angle: float, aspect: float, x: float, y: float) -> None:
    longer = max(size)
    matrix = camera_of((longer, longer), angle, aspect)
    matrix[:2, 2] = x * (size[1] - 1), y * (size[0] - 1)
    assume(matrix[:2, 2].max() > 1)
    assert intrinsics_fault(matrix, *size) is None
    assert require_intrinsics(matrix, *size, "file", "mend it") is matrix


@given(SIZES, st.floats(8, 150), st.sampled_from(["shares", "device", "centre only", "focal only"]))
def test_shares_of_the_picture_are_refused(size: tuple[int, int], angle: float, kind: str) -> None:
    height, width = size
    matrix = camera_of((max(size),) * 2, angle)
    matrix[:2, 2] = camera_of(size)[:2, 2]
    shares = np.diag([1 / width, 1 / height, 1]) @ matrix
    if kind == "device":  # from -1 to 1
        shares[:2] *= 2
        shares[:2, 2] = 0
    if kind == "centre only":
        shares[:2, :2] = matrix[:2, :2]
    if kind == "focal only":
        shares[:2, 2] = matrix[:2, 2]
        assume(shares[0, 0] < 0.1 * max(size))
    assert intrinsics_fault(shares, *size) is not None
    if kind != "focal only":
        assert "shares of the picture" in (intrinsics_fault(shares, *size) or "")


@given(SIZES, st.floats(0.05, 20))
def test_another_size_is_told(size: tuple[int, int], factor: float) -> None:
    height, width = size
    other = round(height * factor), round(width * factor)
    assume(min(other) >= 24)
    # Both sides rounded: half a pixel each way.
    assume(abs(np.log(other[0] / height) - np.log(other[1] / width)) < 0.02)
    matrix = camera_of(other)
    assert implied_size(matrix) == pytest.approx(other)
    if factor > 1.3 or factor < 0.75:
        assert other_size(matrix, *size) == other
    if 0.9 < other[0] / height < 1.1:
        assert other_size(matrix, *size) is None and not is_off_middle(matrix, *size)
    if abs(np.log(height / width)) > 0.1:  # lying on its side
        assert other_size(matrix, width, height) == other
    if factor > 2.1:
        fault = intrinsics_fault(matrix, *size)
        assert fault and f"in the middle of one of {other[1]}x{other[0]} pixels" in fault


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.T.copy(), "(it is transposed)"),
        (lambda m: m * [[-1], [1], [1]], "above 0"),
        (lambda m: m * [[1], [0], [1]], "above 0"),
        (lambda m: m * np.nan, "inf or NaN"),
        (lambda m: m * [[1], [1], [2]], "the rows"),
        (lambda m: m[[0, 1, 1]], "the rows"),
        (lambda m: m + np.diag([0, 1e5, 0]), "focal lengths"),
        (lambda m: m + np.outer([1, 0, 0], [0, 0, 200]), "outside the picture"),
        (lambda m: m - np.outer([0, 1, 0], [0, 0, 100]), "outside the picture"),
    ],
)
def test_no_intrinsics(change, words: str) -> None:
    matrix = change(camera_of((128, 160)))
    with pytest.raises(UserError) as caught:
        require_intrinsics(matrix, 128, 160, "a.txt", "export it again")
    assert words in str(caught.value)
    assert str(caught.value).startswith("a.txt: expected intrinsics in pixels of a 160x128 picture, found ")
    assert str(caught.value).endswith("; export it again")
