"""What the checks measure, against points whose place is known and against plain loops."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms_helper import covisible
from spoilt_rooms import OPENGL, copy_room

from gpnerf.checking.agreement import carry, depth_distances, epipolar_distances, fundamental_matrix
from gpnerf.checking.corrections import Correction, corrections
from gpnerf.checking.fits import Fit, depth_factor, fit_of
from gpnerf.checking.layouts import record_scannet
from gpnerf.checking.matching_points import MatchedPair, features, match
from gpnerf.checking.pairs import matched_pairs
from gpnerf.checking.verdict import judge
from gpnerf.data.files import rescale_intrinsics
from gpnerf.data.scene import FrameCache, Scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    room = copy_room(tmp_path_factory.mktemp("checked"))
    found = record_scannet(room, "room").scene(640, FrameCache(10**8), ())
    assert found is not None
    return found


def rescaled(scene: Scene, scale: tuple[float, float]) -> np.ndarray:
    return np.stack([rescale_intrinsics(matrix, scale) for matrix in scene.intrinsics])


@pytest.fixture(scope="module")
def true_pair(scene: Scene) -> MatchedPair:
    """Pixels of frame 0 and, by the depth files and the textbook formula, where frame 2 sees the same points."""
    rng = np.random.default_rng(0)
    pixels = np.column_stack([rng.integers(10, 150, 60), rng.integers(10, 118, 60)])
    depth = scene.depth(0)
    assert depth is not None
    places = []
    (fx, _, cx), (_, fy, cy), _ = scene.intrinsics[0]
    for u, v in pixels:
        ray = np.array([(u - cx) / fx, (v - cy) / fy, 1.0])
        world = scene.cam_to_world[0] @ np.append(ray * float(depth[v, u]), 1.0)
        x, y, z, _ = np.linalg.inv(scene.cam_to_world[2]) @ world
        places.append([x / z * fx + cx, y / z * fy + cy])
    return MatchedPair(0, 2, pixels.astype(np.float32), np.array(places, np.float32))


def test_true_points_are_where_the_cameras_expect_them(scene: Scene, true_pair: MatchedPair) -> None:
    assert epipolar_distances(scene, true_pair).max() < 1e-2
    assert depth_distances(scene, true_pair).max() < 1e-2
    assert depth_factor(scene, [true_pair]) == pytest.approx(1, rel=1e-2)
    far = replace(scene, cam_to_world=scene.cam_to_world * np.array([[1, 1, 1, 3.0]] * 3 + [[1.0] * 4]))
    assert depth_factor(far, [true_pair]) == pytest.approx(3, rel=1e-2)


def test_distance_across_a_line_is_in_pixels(scene: Scene, true_pair: MatchedPair) -> None:
    """Points moved across their line in the second picture are that far from it there."""
    matrix = fundamental_matrix(scene, 0, 2)
    lines = cv2.computeCorrespondEpilines(true_pair.first_points, 1, matrix)[:, 0]  # unit normals (a, b)
    moved = replace(true_pair, second_points=true_pair.second_points + 3 * lines[:, :2].astype(np.float32))
    back = cv2.computeCorrespondEpilines(moved.second_points, 2, matrix)[:, 0]
    in_first = np.abs((back[:, :2] * moved.first_points).sum(1) + back[:, 2])
    np.testing.assert_allclose(epipolar_distances(scene, moved), (3 + in_first) / 2, atol=2e-2)


def test_no_line_between_cameras_at_one_place(scene: Scene, true_pair: MatchedPair) -> None:
    still = replace(scene, cam_to_world=np.broadcast_to(np.eye(4), scene.cam_to_world.shape))
    assert np.isnan(epipolar_distances(still, true_pair)).all()


def test_carried_pixels_agree_with_a_plain_reprojection(scene: Scene) -> None:
    depths = [scene.depth(frame) for frame in (0, 3)]
    assert depths[0] is not None and depths[1] is not None
    carried = carry(scene, 0, 3)
    assert carried is not None
    poses = scene.cam_to_world[[0, 3]]
    seen, (v, u) = covisible(depths[0].numpy(), poses[0], depths[1].numpy(), poses[1], scene.intrinsics[0])
    ours = carried.shared.numpy()
    assert (seen & ~ours).sum() <= 0.01 * len(seen)  # half a pixel at the border counts there
    assert ours.mean() < seen.mean() + 0.1
    both = seen & ours
    assert (carried.places.numpy()[both] == np.column_stack([u, v])[both]).all(1).mean() > 0.995


@pytest.mark.parametrize("depth_size", [None, (64, 100)])
def test_corrections_undo_the_mistakes_they_name(scene: Scene, depth_size: tuple[int, int] | None) -> None:
    spoils = {
        "": lambda poses: poses,
        "poses are world-to-camera, not": np.linalg.inv,
        "poses have OpenGL axes": lambda poses: poses @ OPENGL,
        "poses are world-to-camera with OpenGL axes": lambda poses: np.linalg.inv(poses @ OPENGL),
    }
    scales = {"": (1.0, 1.0), "intrinsics are those of pictures twice": (2.0, 2.0)}
    if depth_size:
        scales["intrinsics are those of the 100x64 depth files"] = (100 / 160, 64 / 128)
    tried = corrections((128, 160), depth_size, (128, 160))
    for of_poses, spoil in spoils.items():
        for of_scale, scale in scales.items():
            (right,) = [
                one
                for one in tried
                if one.mistake.startswith(of_poses or of_scale)
                and one.mistake.partition(" and intrinsics")[1] == (" and intrinsics" if of_poses and of_scale else "")
                and of_scale in one.mistake
                and bool(one.mistake) == bool(of_poses or of_scale)
                and ("intrinsics" in one.mistake) == bool(of_scale)
            ]
            spoilt = replace(
                scene,
                cam_to_world=spoil(scene.cam_to_world),
                intrinsics=rescaled(scene, scale),
            )
            mended = right.applied(spoilt)
            np.testing.assert_allclose(mended.cam_to_world, scene.cam_to_world, atol=1e-9)
            np.testing.assert_allclose(mended.intrinsics, scene.intrinsics, atol=1e-9)


def test_one_correction_for_one_factor() -> None:
    """Where depth files have half the size of colour, that is said once, by its more telling name."""
    names = {one.mistake for one in corrections((128, 160), (64, 80), (128, 160))}
    assert "intrinsics are those of the 80x64 depth files" in names
    assert "intrinsics are those of pictures half as large" not in names
    assert len(names) == len(corrections((128, 160), (64, 80), (128, 160))) == 12
    assert len(corrections((128, 160), (128, 160), (130, 160))) == len(corrections((128, 160), None, (128, 160))) == 12


@pytest.mark.parametrize(
    ("colour", "depth", "implied", "name", "factors"),
    [
        ((240, 320), (480, 640), (968, 1296), "those of 1296x968 pictures", (0.24691, 0.24793)),
        ((480, 640), (480, 640), (970.5, 1299.2), "those of 1296x968 pictures", (0.49383, 0.49587)),  # ScanNet's
        ((480, 640), None, (1080, 1920), "those of 1920x1080 pictures", (0.33333, 0.44444)),
        ((968, 1296), (480, 640), (480.5, 639.2), "those of the 640x480 depth files", (2.025, 2.01667)),
        ((128, 160), None, (255, 319), "those of pictures twice as large", (0.5, 0.5)),  # centre scaled with the rest
    ],
)
def test_the_size_that_the_principal_point_implies_is_tried_first(
    colour: tuple, depth: tuple | None, implied: tuple, name: str, factors: tuple[float, float]
) -> None:
    first, second, *_ = corrections(colour, depth, implied)
    assert first.mistake == "" and second.mistake == f"intrinsics are {name}"
    assert second.scale == pytest.approx(factors, abs=1e-5)


@given(st.floats(-0.4, 0.4), st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_cameras_moved_as_a_whole_fit_the_same(scene, true_pair, angle, x, y, z) -> None:  # type: ignore[no-untyped-def]
    """Where the world's origin is and how its axes lie does not matter."""
    move = np.eye(4)
    move[:3, :3] = cv2.Rodrigues(np.array([angle, 2 * angle, -angle]))[0]
    move[:3, 3] = [x, y, z]
    wrong = replace(scene, intrinsics=rescaled(scene, (1.5, 1.5)))
    moved = replace(wrong, cam_to_world=move @ wrong.cam_to_world)
    as_given = corrections((128, 160), None, (128, 160))[0]
    before, after = (fit_of(one, [true_pair], as_given) for one in (wrong, moved))
    assert after.lines[0] == pytest.approx(before.lines[0], rel=1e-3, abs=1e-3)
    assert after.places[0] == pytest.approx(before.places[0], rel=1e-2, abs=1e-2)


def test_what_leaves_more_than_a_few_pixels_is_no_explanation(scene: Scene, true_pair: MatchedPair) -> None:
    def fit(correction: Correction, error: float) -> Fit:
        return Fit(correction, np.full(3, error), np.full(3, error))

    given, *others = corrections((128, 160), None, (128, 160))
    for left, explained in ((2.0, True), (2.9, True), (4.0, False), (20.0, False)):
        fits = [fit(given, 100.0), *(fit(one, 90.0) for one in others[1:]), fit(others[0], left)]
        (finding,) = judge(fits, [true_pair] * 3, scene)
        assert finding.is_mistake
        assert finding.text.startswith(others[0].mistake) == explained
        assert ("none of the usual mistakes explains it" in finding.text) != explained


def test_pairs_share_points_and_are_the_same_again(scene: Scene) -> None:
    once, again = matched_pairs(scene, 6), matched_pairs(scene, 6)
    assert 3 <= len(once) <= 6
    for pair, same in zip(once, again, strict=True):
        assert pair.first < pair.second and len(pair.first_points) >= 20
        assert (pair.first, pair.second) == (same.first, same.second)
        np.testing.assert_array_equal(pair.first_points, same.first_points)
        assert np.median(depth_distances(scene, pair)) < 2  # chosen without poses, confirmed by them


def test_pictures_that_share_nothing_have_no_matches(scene: Scene, tmp_path: Path) -> None:
    one, rng = features(scene, 0), np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 255, (128, 160), dtype=np.uint8), (0, 0), 2)
    points, descriptors = cv2.SIFT.create().detectAndCompute(cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX), None)
    other = type(one)(np.array([point.pt for point in points], np.float32), descriptors)
    assert len(points) > 100
    assert len(match(0, 1, one, other).first_points) == 0
    empty = type(one)(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    assert len(match(0, 1, one, empty).first_points) == 0
    assert len(match(0, 0, one, one).first_points) > 0.4 * len(one.points)
