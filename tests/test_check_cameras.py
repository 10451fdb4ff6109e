"""Wrong poses and intrinsics are named for what they are, with and without depth; right ones are not accused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from spoilt_rooms import HEIGHT, OPENGL, WIDTH, change_poses, check, copy_room, mistakes, scale_intrinsics

from gpnerf.data.files import rescale_intrinsics

MISTAKES: dict[str, tuple[Callable[[Path], None], str]] = {
    "inverted": (lambda room: change_poses(room, np.linalg.inv), "poses are world-to-camera, not camera-to-world"),
    "OpenGL": (lambda room: change_poses(room, lambda pose: pose @ OPENGL), "poses have OpenGL axes"),
    "both": (
        lambda room: change_poses(room, lambda pose: np.linalg.inv(pose @ OPENGL)),
        "poses are world-to-camera with OpenGL axes",
    ),
    "doubled": (lambda room: scale_intrinsics(room, 2.0), "intrinsics are those of pictures twice as large"),
    "halved": (lambda room: scale_intrinsics(room, 0.5), "intrinsics are those of pictures half as large"),
}


@pytest.mark.parametrize("depth", [True, False], ids=["depth", "no depth"])
@pytest.mark.parametrize("name", MISTAKES)
def test_names_the_mistake(tmp_path: Path, name: str, depth: bool) -> None:
    room = copy_room(tmp_path)
    if not depth:
        shutil.rmtree(room / "depth")
    spoil, words = MISTAKES[name]
    spoil(room)
    (found,) = mistakes(check(room))
    assert found.startswith(f"{words}"), found
    assert " and intrinsics" not in found  # nothing else is accused


@pytest.mark.parametrize("depth", [True, False], ids=["depth", "no depth"])
def test_two_mistakes_at_once(tmp_path: Path, depth: bool) -> None:
    room = copy_room(tmp_path)
    if not depth:
        shutil.rmtree(room / "depth")
    change_poses(room, np.linalg.inv)
    scale_intrinsics(room, 2.0)
    (found,) = mistakes(check(room))
    assert "world-to-camera" in found and "twice as large" in found


@pytest.mark.parametrize("depth", [True, False], ids=["depth", "no depth"])
def test_a_right_room_is_clean(tmp_path: Path, depth: bool) -> None:
    room = copy_room(tmp_path)
    if not depth:
        shutil.rmtree(room / "depth")
    report = check(room)
    assert mistakes(report) == [] and report.is_clean
    assert report.cameras is not None and len(report.cameras.pairs) >= 4
    assert report.cameras.fits[0].error < 0.01 * WIDTH
    overlap = report.cameras.overlap
    if depth:
        assert overlap is not None and overlap.labels is not None
        assert overlap.labels > 0.97 and overlap.colour < 10 and overlap.shared > 0.5
    else:
        assert overlap is None


def test_intrinsics_of_the_depth_files(tmp_path: Path) -> None:
    """Depth files smaller than colour, and the colour camera's intrinsics scaled to their size."""
    room = copy_room(tmp_path)
    small = (64, 52)  # neither half the colour size nor of one factor
    for path in (room / "depth").iterdir():
        _shrink(path, small)
    matrix = np.loadtxt(room / "intrinsic/intrinsic_color.txt")
    matrix[:2] *= [[small[0] / WIDTH], [small[1] / HEIGHT]]
    np.savetxt(room / "intrinsic/intrinsic_color.txt", matrix)
    (found,) = mistakes(check(room))
    assert found.startswith("intrinsics are those of the 64x52 depth files")
    assert "first row of the intrinsics by 2.5 and the second by 2.462" in found


def test_poses_in_millimetres(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    change_poses(room, lambda pose: np.vstack([np.hstack([pose[:3, :3], 1000 * pose[:3, 3:]]), pose[3:]]))
    (found,) = mistakes(check(room))
    assert found.startswith("depth and poses have different units")
    factor = float(found.split("multiply depth by ")[1].split(",")[0])
    assert factor == pytest.approx(1000, rel=0.05)


def test_poses_of_other_frames(tmp_path: Path) -> None:
    """Poses in another order than the pictures: nothing that is tried explains it, and that is said."""
    room = copy_room(tmp_path)
    paths = sorted((room / "pose").iterdir())
    poses = [path.read_text() for path in paths]
    for path, pose in zip(paths, poses[5:] + poses[:5], strict=True):
        path.write_text(pose)
    (found,) = mistakes(check(room))
    assert "none of the usual mistakes explains it" in found


@pytest.mark.parametrize(("width", "height"), [(400, 300), (1296, 968), (100, 96)])
def test_intrinsics_of_another_picture_size_are_named_with_their_factors(
    tmp_path: Path, width: int, height: int
) -> None:
    room = copy_room(tmp_path)
    path = room / "intrinsic/intrinsic_color.txt"
    matrix = np.loadtxt(path)
    matrix[:3, :3] = rescale_intrinsics(matrix[:3, :3], (width / WIDTH, height / HEIGHT))
    np.savetxt(path, matrix)
    report = check(room)
    (found,) = mistakes(report)
    assert found.startswith(f"intrinsics are those of {width}x{height} pictures")
    assert f"first row of the intrinsics by {WIDTH / width:.4g} and the second by {HEIGHT / height:.4g}" in found
    assert report.cameras is not None and min(fit.error for fit in report.cameras.fits) < 1


def test_where_pictures_cannot_tell_the_readers_refusal_is_told(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    scale_intrinsics(room, 0.3)
    for path in (room / "color").iterdir():
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    (found,) = mistakes(check(room))
    assert found.startswith(f"{room}/intrinsic/intrinsic_color.txt: expected intrinsics of a {WIDTH}x{HEIGHT} picture")


def test_without_texture_says_that_it_cannot_tell(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    for path in (room / "color").iterdir():
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    report = check(room)
    assert mistakes(report) == []
    assert any(finding.text.startswith("cameras not checked") for finding in report.findings)


def _shrink(path: Path, size: tuple[int, int]) -> None:
    depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT))


def test_own_photographs(tmp_path: Path) -> None:
    """transforms.json with poses in OpenGL axes, as it must be, and with OpenCV axes left in."""
    room = copy_room(tmp_path)
    own = tmp_path / "own"
    shutil.copytree(room / "color", own / "images")
    matrix = np.loadtxt(room / "intrinsic/intrinsic_color.txt")
    poses = {int(path.stem): np.loadtxt(path) for path in (room / "pose").iterdir()}

    def write(axes: np.ndarray) -> None:
        frames = [
            {"file_path": f"images/{n}.jpg", "transform_matrix": (pose @ axes).tolist()} for n, pose in poses.items()
        ]
        lens = {"w": WIDTH, "h": HEIGHT, "fl_x": matrix[0, 0], "fl_y": matrix[1, 1]}
        lens |= {"cx": matrix[0, 2] + 0.5, "cy": matrix[1, 2] + 0.5}
        (own / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))

    write(OPENGL)
    report = check(own)
    assert mistakes(report) == []
    assert report.cameras is not None and report.cameras.fits[0].error < 0.01 * WIDTH
    write(np.eye(4))
    report = check(own)
    (found,) = mistakes(report)
    assert found.startswith("poses have OpenGL axes")
    assert "poses are as read: transforms.json" in report.findings[-1].text
