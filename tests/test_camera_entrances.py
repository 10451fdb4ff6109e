"""Every way by which cameras come in refuses the same ones, in one line that names the place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from own_folder import CAMERA, open_own, write_images
from posed_scenes import parameters, transforms_of, write_colmap, write_transforms
from sens_writer import shots, write_scan
from test_load import PHOTOS, target, write_checkpoint
from tiny_scenes import INTRINSICS, circle_pose, write_intrinsics, write_replica, write_scannet

import gpnerf
from gpnerf.checking.layouts import record_replica, record_scannet
from gpnerf.checking.pose_matrices import camera_findings
from gpnerf.data.replica import replica_scene
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError
from gpnerf.preparation.downloads import find_sequences
from gpnerf.preparation.replica import PUBLICATIONS, Arrangement
from gpnerf.preparation.scannet import ScanOptions, prepare_scan
from gpnerf.video.paths import read_poses

FRAMES, HEIGHT, WIDTH = 3, 24, 32
POSES = np.stack([circle_pose(number, FRAMES) for number in range(FRAMES)])
Change = Callable[[np.ndarray], np.ndarray]
same: Change = np.copy


def changed(poses: np.ndarray, change: Change) -> np.ndarray:
    """The second pose changed."""
    return np.stack([poses[0], change(poses[1].astype(np.float64)), *poses[2:]])


def read_scannet(root: Path, pose: Change, matrix: Change) -> None:
    folder = write_scannet(root / "scene", FRAMES, HEIGHT, WIDTH, labels=False, depth=False)
    for number, one in enumerate(changed(POSES, pose)):
        np.savetxt(folder / f"pose/{number}.txt", one, fmt="%.6f")
    write_intrinsics(folder, matrix(CAMERA))
    scannet_scene(folder, name="scene", height=12, width=16, label_map=None, cache=FrameCache(0))


def read_replica(root: Path, pose: Change, matrix: Change) -> None:
    folder = write_replica(root / "Sequence_1", FRAMES, HEIGHT, WIDTH)
    np.savetxt(folder / "traj_w_c.txt", changed(POSES, pose).reshape(-1, 16), fmt="%.6f")
    replica_scene(folder, name="scene", height=12, width=16, label_map=None, cache=FrameCache(0))


def read_transforms(root: Path, pose: Change, matrix: Change) -> None:
    write_images(root)
    names = [f"images/{number}.png" for number in range(FRAMES)]
    write_transforms(root, transforms_of(changed(POSES, pose), matrix(CAMERA), (HEIGHT, WIDTH), names))
    open_own(root)


def read_colmap(root: Path, pose: Change, matrix: Change) -> None:
    write_images(root)
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", matrix(CAMERA)), "width": WIDTH, "height": HEIGHT}
    write_colmap(root, POSES, [f"{number}.png" for number in range(FRAMES)], camera)
    open_own(root)


def film(root: Path, pose: Change, matrix: Change) -> None:
    np.savetxt(root / "path.txt", changed(POSES, pose).reshape(-1, 16), fmt="%.6f")
    read_poses(root / "path.txt")


def python_encode(root: Path, pose: Change, matrix: Change) -> None:
    poses, matrices = changed(PHOTOS["cam_to_world"], pose), changed(PHOTOS["intrinsics"], matrix)
    gpnerf.load(write_checkpoint(root), "cpu").encode(PHOTOS["images"], matrices, poses)


def python_render(root: Path, pose: Change, matrix: Change) -> None:
    views = gpnerf.load(write_checkpoint(root), "cpu")
    views.encode(**PHOTOS)
    intrinsics, cam_to_world = target()
    views.render(matrix(intrinsics.astype(np.float64)), pose(cam_to_world), 33, 38, stride=4)


def prepare_scannet(root: Path, pose: Change, matrix: Change) -> None:
    frames = list(shots())
    frames[1] = replace(frames[1], pose=pose(frames[1].pose.astype(np.float64)).astype(np.float32))
    scan = write_scan(root / "scans", frames=frames)
    prepare_scan(scan, root / "out", ScanOptions(size=(24, 30)), Event())


def prepare_replica(root: Path, pose: Change, matrix: Change) -> None:
    folder = write_replica(root / "download/office_0/Sequence_1", FRAMES, HEIGHT, WIDTH)
    np.savetxt(folder / "traj_w_c.txt", changed(POSES, pose).reshape(-1, 16), fmt="%.6f")
    found = find_sequences(root / "download", True)
    publication = PUBLICATIONS["semantic_nerf"]
    Arrangement(publication, root / "out", found, False).prepare("office_0/Sequence_1", Event())


READERS = (read_scannet, read_replica, read_transforms, film, python_encode, python_render)
WITH_INTRINSICS = (read_scannet, read_transforms, read_colmap, python_encode, python_render)
POSE_FAULTS: dict[str, Change] = {
    "(a scaled rotation)": lambda pose: pose @ np.diag([1.01, 1.01, 1.01, 1]),
    "axes of length": lambda pose: pose @ np.diag([2, 1, 1, 1]),
    "not perpendicular": lambda pose: pose @ (np.array([[1, 0.6, 0, 0], [0, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])),
    "a mirrored (left-handed) rotation": lambda pose: pose @ np.diag([1, -1, 1, 1]),
    "instead of 0 0 0 1": lambda pose: pose.T,
    "the position": lambda pose: pose + np.outer([1, 0, 0, 0], [0, 0, 0, 1e30]),
}
MATRIX_FAULTS: dict[str, Change] = {
    "shares of the picture": lambda matrix: np.diag([1 / 40, 1 / 32, 1]) @ matrix,
    "outside the picture": lambda matrix: np.diag([4, 4, 1]) @ matrix,
    "above 0": lambda matrix: matrix * [[-1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "are sane": lambda matrix: matrix * [[100, 1, 1], [1, 100, 1], [1, 1, 1]],
}


def refusal(enter: Callable[[Path, Change, Change], None], root: Path, pose: Change, matrix: Change) -> str:
    with pytest.raises(UserError) as caught:
        enter(root, pose, matrix)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("enter", [*READERS, prepare_scannet, prepare_replica], ids=lambda enter: enter.__name__)
def test_poses(enter: Callable[[Path, Change, Change], None], tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    enter(tmp_path / "right", same, same)
    for number, (words, change) in enumerate(POSE_FAULTS.items()):
        root = tmp_path / str(number)
        root.mkdir()
        if enter in (prepare_scannet, prepare_replica) and number > 1:
            break  # they ask the same rule; what is written for nothing takes long
        assert words in refusal(enter, root, change, same)


@pytest.mark.parametrize("enter", WITH_INTRINSICS, ids=lambda enter: enter.__name__)
def test_intrinsics(enter: Callable[[Path, Change, Change], None], tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    enter(tmp_path / "right", same, same)
    for number, (words, change) in enumerate(MATRIX_FAULTS.items()):
        root = tmp_path / str(number)
        root.mkdir()
        assert words in refusal(enter, root, same, change)


@pytest.mark.parametrize("other", [(12, 16), (6, 8), (48, 64), (97, 130), (32, 24)])
def test_intrinsics_of_another_picture_size_are_refused_in_a_recording(tmp_path: Path, other: tuple[int, int]) -> None:
    """Also smaller ones, whose principal point is inside, and of pictures that have been turned: none is a crop."""
    height, width = other
    matrix = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]])
    message = refusal(read_scannet, tmp_path, same, lambda _: matrix)
    assert f"{tmp_path}/scene/intrinsic/intrinsic_color.txt: expected intrinsics" in message
    assert "of a 32x24 picture" in message and "check_data.py" in message


def test_a_principal_point_far_from_the_middle_is_worth_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_scannet(tmp_path, same, lambda matrix: matrix * [[1, 1, 0.3], [1, 1, 1], [1, 1, 1]])
    (warning,) = (record.getMessage() for record in caplog.records)
    assert "intrinsic_color.txt: the principal point is far from the middle of a 32x24 picture" in warning


def test_a_recording_with_wrong_intrinsics_is_not_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shots()  # rendered with the right ones
    wrong = np.eye(4, dtype=np.float32)
    wrong[:3, :3] = INTRINSICS * [[20], [20], [1]]
    monkeypatch.setattr("sens_writer.intrinsics", lambda size: wrong)
    message = refusal(prepare_scannet, tmp_path, same, same)
    assert "scene0000_00.sens: intrinsic_color: expected intrinsics" in message and "outside the picture" in message
    assert not (tmp_path / "out/scene0000_00").exists()


def test_a_film_of_photographs_of_several_lenses_has_the_camera_of_one_of_them(tmp_path: Path) -> None:
    write_images(tmp_path)
    content = transforms_of(POSES, CAMERA, (HEIGHT, WIDTH), [f"images/{number}.png" for number in range(FRAMES)])
    for frame, (fx, cx) in zip(content["frames"], ((90.0, 14.0), (30.0, 15.0), (40.0, 16.0)), strict=True):
        frame |= {"fl_x": fx, "fl_y": fx, "cx": cx, "cy": 12.0, "w": WIDTH, "h": HEIGHT}
    write_transforms(tmp_path, content)
    scene = open_own(tmp_path)
    assert scene.intrinsics.shape == (FRAMES, 3, 3) and scene.intrinsics.dtype == np.float64
    assert scene.middle_intrinsics.tolist() == [[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]]


@pytest.mark.parametrize(("width", "height"), [(32, 32), (48, 27), (24, 32)])
def test_replica_pictures_of_another_shape_are_refused(tmp_path: Path, width: int, height: int) -> None:
    folder = write_replica(tmp_path / "Sequence_1", 1, height, width)
    with pytest.raises(UserError, match=rf"rgb: expected pictures of 4:3, .*found {width}x{height}; "):
        replica_scene(folder, name="scene", height=24, width=32, label_map=None, cache=FrameCache(0))
    (finding,) = (one for one in record_replica(folder, "scene").findings if "4:3" in one.text)
    assert finding.is_mistake


@pytest.mark.parametrize("word", ["nan", "0"])
def test_check_data_tells_what_the_readers_refuse_and_what_they_drop(tmp_path: Path, word: str) -> None:
    """A frame without a place is left out of a recording; renderings have none such."""
    replica = write_replica(tmp_path / "Sequence_1", FRAMES, HEIGHT, WIDTH)
    lines = (replica / "traj_w_c.txt").read_text().splitlines()
    (replica / "traj_w_c.txt").write_text("\n".join([lines[0], f"{word} " * 16, lines[2]]))
    (mistake,) = (one.text for one in record_replica(replica, "scene").findings if one.is_mistake)
    assert "traj_w_c.txt, line 2" in mistake and "expected a camera-to-world pose" in mistake
    recording = write_scannet(tmp_path / "scene", FRAMES, HEIGHT, WIDTH, labels=False)
    (recording / "pose/1.txt").write_text(f"{word} " * 16)
    found = camera_findings(record_scannet(recording, "scene"))
    assert [(one.is_mistake, one.text) for one in found] == [
        (False, f"1 of {FRAMES} poses hold inf, NaN or zeros: frames 1; readers drop these frames")
    ]
