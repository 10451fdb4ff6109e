"""Distances between poses and the rules that pick sources by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gpnerf.data.view_selection import draw_from_pool, nearest, pose_distances, released_distances

seeds = st.integers(0, 2**32 - 1)


def random_poses(seed: int, count: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    return poses


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_pose_distance_against_a_plain_loop(seed: int) -> None:
    poses = random_poses(seed)
    for other, found in zip(poses, pose_distances(poses, 3), strict=True):
        metres = sum((a - b) ** 2 for a, b in zip(other[:3, 3], poses[3][:3, 3], strict=True)) ** 0.5
        axes = [pose[:3, :3] @ [0, 0, 1] for pose in (other, poses[3])]
        # The half-angle form is exact where arccos loses digits.
        radians = 2 * np.arctan2(np.linalg.norm(axes[0] - axes[1]), np.linalg.norm(axes[0] + axes[1]))
        assert found == pytest.approx(metres + radians, abs=1e-6)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_pose_distance_does_not_depend_on_the_world_frame_but_the_released_one_does(seed: int) -> None:
    poses, motion = random_poses(seed), random_poses(seed + 1, 1)[0]
    assert np.allclose(pose_distances(motion @ poses, 2), pose_distances(poses, 2), atol=1e-6)
    assert not np.allclose(released_distances(motion @ poses, 2), released_distances(poses, 2), atol=1e-3)


def test_a_camera_at_the_world_origin_has_finite_distances() -> None:
    poses = random_poses(0)
    poses[4, :3, 3] = 0
    assert np.isfinite(released_distances(poses, 4)).all()


@given(seeds, st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_nearest_are_allowed_sorted_and_not_beaten(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    distances, allowed = rng.random(12), rng.random(12) < 0.6
    chosen = nearest(distances, allowed, count)
    assert len(chosen) == min(count, allowed.sum()) and allowed[chosen].all()
    assert (np.diff(distances[chosen]) >= 0).all()
    left_out = np.setdiff1d(np.flatnonzero(allowed), chosen)
    assert not len(chosen) or (distances[left_out] >= distances[chosen].max()).all()


def test_ties_go_to_the_earlier_frame() -> None:
    assert nearest(np.array([1.0, 0, 1, 1, 0]), np.ones(5, bool), 4).tolist() == [1, 4, 0, 2]


def test_the_pool_widens_with_the_stated_chances() -> None:
    """Of 4 draws from the 4 f nearest, the farthest rank tells f from below; its frequencies match the chances."""
    distances, allowed = np.arange(100.0), np.ones(100, bool)
    rng = np.random.default_rng(0)
    draws = np.array([draw_from_pool(distances, allowed, 4, rng) for _ in range(4000)])
    assert all(len(set(draw)) == 4 for draw in draws)
    assert draws.max() == 19
    # With f = 1 the four nearest themselves come out; any wider pool does that with chance 1 / C(4 f, 4).
    chance = 0.30 + 0.25 / 70 + 0.20 / 495 + 0.20 / 1820 + 0.05 / 4845
    assert (draws.max(axis=1) == 3).mean() == pytest.approx(chance, abs=0.03)
    # Rank 16 to 19 needs f = 5, and at least one of four drawn from the last four of twenty.
    assert (draws.max(axis=1) >= 16).mean() == pytest.approx(0.05 * (1 - 1820 / 4845), abs=0.01)


def test_a_pool_larger_than_the_scene_is_the_whole_scene() -> None:
    allowed = np.arange(12) != 5
    rng = np.random.default_rng(0)
    drawn = {int(i) for _ in range(200) for i in draw_from_pool(np.arange(12.0), allowed, 8, rng)}
    assert drawn == set(range(12)) - {5}
