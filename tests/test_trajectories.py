"""Camera paths: where they go, that they are cameras, and that they go there smoothly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from gpnerf.errors import UserError
from gpnerf.trajectories import interpolate, look_at, orbit, scene_centre, scene_up, spiral

UP = np.array([0, 0, 1.0])
PATHS = {
    "interpolate": lambda poses, frames: interpolate(poses[::6], frames),
    "orbit": orbit,
    "spiral": spiral,
}

Poses = Float[np.ndarray, "frames 4 4"]


def ellipse(count: int, half_axes: tuple[float, float], height: float, centre: np.ndarray) -> Poses:
    """Cameras evenly spread on a level ellipse around (1, 2), looking at `centre`."""
    angles = 2 * np.pi * np.arange(count) / count + 0.3
    offsets = [half_axes[0] * np.cos(angles), half_axes[1] * np.sin(angles), np.full(count, height)]
    return look_at(np.array([1, 2, 0]) + np.stack(offsets, axis=1), centre, UP)


def walk(seed: int) -> Poses:
    """A hand-held walk around something, with a little roll."""
    rng = np.random.default_rng(seed)
    cameras = ellipse(40, (2.0, 1.2), 1.5, np.array([1.2, 1.9, 1.0]))
    shaken = Rotation.from_rotvec(0.05 * np.cumsum(rng.normal(size=(40, 3)), axis=0)).as_matrix()
    cameras[:, :3, :3] = shaken @ cameras[:, :3, :3]
    cameras[:, :3, 3] += 0.02 * np.cumsum(rng.normal(size=(40, 3)), axis=0)
    return cameras


def turned(poses: Poses) -> Float[np.ndarray, "steps"]:
    """Radians between neighbours, from the trace."""
    relative = np.swapaxes(poses[:-1, :3, :3], 1, 2) @ poses[1:, :3, :3]
    return np.arccos(np.clip((np.trace(relative, axis1=1, axis2=2) - 1) / 2, -1, 1))


def moved(poses: Poses) -> Float[np.ndarray, "steps"]:
    return np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("seed", range(3))
def test_cameras_at_an_even_pace(path: str, seed: int) -> None:
    poses = PATHS[path](walk(seed), 90)
    assert poses.shape == (90, 4, 4)
    rotations = poses[:, :3, :3]
    assert np.allclose(rotations @ np.swapaxes(rotations, 1, 2), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(rotations), 1) and (poses[:, 3] == [0, 0, 0, 1]).all()
    steps = moved(poses) + turned(poses)
    assert steps.max() < 1.1 * steps.mean()  # metres and radians of a step; chords are a little shorter than arcs
    # Twice as many frames take half the steps: nowhere does the path jump.
    finer = PATHS[path](walk(seed), 180)
    assert (moved(finer) + turned(finer)).max() < 0.6 * steps.max()


@given(st.integers(0, 10**6), st.integers(2, 7))
@settings(max_examples=20, deadline=None)
def test_interpolation_passes_through_its_keys(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    keys = np.tile(np.eye(4), (count, 1, 1))
    keys[:, :3, :3] = Rotation.from_rotvec(np.cumsum(rng.uniform(-0.5, 0.5, (count, 3)), axis=0)).as_matrix()
    keys[:, :3, 3] = np.cumsum(rng.uniform(-1, 1, (count, 3)), axis=0)
    path = interpolate(keys, 400)
    assert np.array_equal(path[[0, -1]], keys[[0, -1]])
    step = (moved(path) + turned(path)).max()
    reached = [np.argmin(np.abs(path - key).sum(axis=(1, 2))) for key in keys]
    assert reached == sorted(reached)
    for place, key in zip(reached, keys, strict=True):
        pair = np.stack([path[place], key])
        assert moved(pair)[0] + turned(pair)[0] <= step


def test_keys_that_repeat_count_once() -> None:
    keys = walk(0)[[0, 0, 5, 5, 9]]
    assert np.allclose(interpolate(keys, 20), interpolate(walk(0)[[0, 5, 9]], 20))
    with pytest.raises(UserError, match="at least 2 different key poses, found 1"):
        interpolate(keys[:2], 20)


def test_a_moved_world_moves_the_path() -> None:
    world = np.eye(4)
    world[:3, :3] = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    world[:3, 3] = 4, -2, 9
    for path in PATHS.values():
        poses = walk(1)
        here, there = world @ path(poses, 25), path(world @ poses, 25)
        if path is not PATHS["interpolate"]:  # an ellipse may be entered at either end, and gone around either way
            here, there = (np.sort(each[:, :3, 3] @ np.array([0.3, 0.5, 0.8])) for each in (here, there))
            assert np.allclose([here.min(), here.max()], [there.min(), there.max()], atol=0.3)
        else:
            assert np.allclose(here, there, atol=1e-6)


@given(st.floats(0.5, 3), st.floats(0.5, 3), st.floats(0.2, 2))
@settings(max_examples=20, deadline=None)
def test_orbit_keeps_to_the_ring_of_the_cameras(a: float, b: float, height: float) -> None:
    centre = np.array([1, 2, 0.1])
    cameras = ellipse(30, (a, b), height, centre)
    path = orbit(cameras, 64)
    offsets = (path[:, :3, 3] - [1, 2, height]) / [a, b, 1]
    assert np.allclose(np.hypot(offsets[:, 0], offsets[:, 1]), 1, atol=1e-6)
    assert np.allclose(offsets[:, 2], 0, atol=1e-9)
    closing = np.stack([path[-1], path[0]])
    assert moved(closing)[0] < 1.3 * moved(path).max()  # the film can be repeated without a jump


@pytest.mark.parametrize("path", [orbit, spiral])
def test_orbit_and_spiral_look_at_the_centre_and_stand_upright(path) -> None:
    centre = np.array([1.2, 1.9, -0.5])
    poses = path(ellipse(30, (2, 1.5), 1.0, centre), 50)
    towards = centre - poses[:, :3, 3]
    along = np.einsum("ij,ij->i", towards, poses[:, :3, 2])
    assert np.allclose(along, np.linalg.norm(towards, axis=1))  # the optical axis meets it, in front
    assert np.abs(poses[:, 2, 0]).max() < 0.01  # the x axis is level
    assert (poses[:, 2, 1] < 0).all()  # and y points down


def test_spiral_ends_half_as_far_from_the_middle() -> None:
    poses = spiral(ellipse(30, (2, 2), 1.0, np.array([1, 2, 0.0])), 60)
    radii = np.linalg.norm(poses[:, :2, 3] - [1, 2], axis=1)
    assert radii[0] == pytest.approx(2, rel=1e-3) and radii[-1] == pytest.approx(1, rel=1e-3)
    assert (np.diff(radii) < 0).all()


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_centre_is_where_the_axes_meet_or_nearest_to_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre, positions = rng.uniform(-1, 1, 3), rng.uniform(2, 5, (6, 3)) * rng.choice([-1, 1], (6, 3))
    cameras = look_at(positions, centre, UP)
    assert np.allclose(scene_centre(cameras), centre, atol=1e-6)
    skew = cameras.copy()
    skew[:, :3, 3] += rng.normal(size=(6, 3))

    def squared(point: np.ndarray) -> float:
        offsets = point - skew[:, :3, 3]
        return float((np.cross(offsets, skew[:, :3, 2]) ** 2).sum())

    best = squared(scene_centre(skew))
    assert all(squared(scene_centre(skew) + rng.normal(size=3) * 0.05) > best for _ in range(20))


def test_the_centre_of_parallel_cameras_is_in_their_middle() -> None:
    cameras = np.tile(np.eye(4), (3, 1, 1))
    cameras[:, 0, 3] = -1, 0, 4
    assert np.allclose(scene_centre(cameras), [1, 0, 0])


def test_up_is_up_for_cameras_that_look_down() -> None:
    def fan(degrees: float) -> Poses:
        """Level cameras that look 30 degrees down, into horizontal directions so far apart."""
        angles = np.radians(np.linspace(-degrees / 2, degrees / 2, 15))
        positions = np.stack([-np.cos(angles), -np.sin(angles), np.full(15, np.tan(np.radians(30)))], axis=1)
        return look_at(positions, np.zeros(3), UP)

    def off(cameras: Poses) -> float:
        return float(np.degrees(np.arccos(np.clip(scene_up(cameras) @ UP, -1, 1))))

    assert off(fan(360)) < 0.1 and off(fan(90)) < 3
    assert off(fan(1)) == pytest.approx(30, abs=1)  # parallel x axes do not tell


def test_no_camera_on_the_vertical_through_the_centre() -> None:
    with pytest.raises(UserError, match=r"vertical.*--trajectory interpolate"):
        look_at(np.array([[1.0, 0, 0], [0, 0, 2]]), np.zeros(3), UP)
    with pytest.raises(UserError, match="at least 3 frames"):
        orbit(walk(0)[:2], 10)
