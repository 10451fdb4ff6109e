"""What transforms.json says about files and space: names of images, units of depth, near and far, poses."""

from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from own_folder import CAMERA, FRAMES, HEIGHT, POSES, WIDTH, content, message_of, open_own, write_own
from posed_scenes import Transforms, parameters, transforms_of, write_colmap, write_transforms

from gpnerf.data.scene import Scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_own(tmp_path)


def opened(folder: Path, transforms: Transforms) -> Scene:
    write_transforms(folder, transforms)
    return open_own(folder)


SPELLINGS: dict[str, Callable[[Path], str]] = {
    "no ending": lambda path: f"./images/{path.stem}",
    "back-slashes": lambda path: f".\\images\\{path.name}",
    "both": lambda path: f"images\\{path.stem}",
    "absolute": str,
    "dots": lambda path: f"images/../images/{path.name}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_images_may_be_named_in_other_ways(folder: Path, spelling: str) -> None:
    transforms = content()
    for frame in transforms["frames"]:
        frame["file_path"] = SPELLINGS[spelling](folder / frame["file_path"])
    scene = opened(folder, transforms)
    assert [scene.path("colour", place) for place in range(FRAMES)] == [
        folder / f"images/{k}.png" for k in range(FRAMES)
    ]


@pytest.mark.parametrize("ending", [".jpg", ".JPG", ".jpeg", ".PNG"])
def test_a_bare_name_finds_any_image(folder: Path, ending: str) -> None:
    (folder / "images" / "1.png").rename(folder / "images" / f"1{ending}")
    transforms = content()
    transforms["frames"][1]["file_path"] = "images/1"
    assert opened(folder, transforms).path("colour", 1) == folder / "images" / f"1{ending}"


def test_a_name_that_is_not_there_is_not_said_to_lead_elsewhere(folder: Path) -> None:
    for name in ("images/7", "images\\7.png", str(folder / "images" / "7.png"), "images/../7.png"):
        transforms = content()
        transforms["frames"][1]["file_path"] = name
        write_transforms(folder, transforms)
        message = message_of(folder)
        assert "no such file" in message and "elsewhere" not in message


def write_depth(folder: Path, key: str, steps: int) -> Transforms:
    """A transforms.json whose frames name depth files that hold one number."""
    transforms = content()
    for number, frame in enumerate(transforms["frames"]):
        frame[key] = f"depths/{number}.png"
        (folder / "depths").mkdir(exist_ok=True)
        iio.imwrite(folder / frame[key], np.full((HEIGHT, WIDTH), steps, np.uint16))
    return transforms


@pytest.mark.parametrize(
    ("key", "more", "depth"),
    [
        ("depth_file_path", {}, 2.5),
        ("depth_file_path", {"applied_scale": 0.1}, 0.25),
        ("depth_file_path", {"depth_unit_scale_factor": 1 / 5000}, 0.5),
        ("depth_file_path", {"depth_unit_scale_factor": 1 / 5000, "applied_scale": 2}, 1.0),
        ("depth_path", {"integer_depth_scale": 1 / 2000}, 1.25),
        ("depth_path", {"integer_depth_scale": 1 / 2000, "applied_scale": 0.1, "scale": 4}, 1.25),
        ("depth_path", {"depth_unit_scale_factor": 1e-3}, 2.5),
        ("depth_path", {"integer_depth_scale": 1 / 2000, "enable_depth_loading": False}, None),
    ],
)
def test_depth_has_the_unit_of_the_poses(folder: Path, key: str, more: Transforms, depth: float | None) -> None:
    found = opened(folder, write_depth(folder, key, 2500) | more).depth(1)
    assert found is None if depth is None else np.allclose(found, depth, rtol=1e-6)


def test_depth_steps_that_nobody_tells(folder: Path) -> None:
    write_transforms(folder, write_depth(folder, "depth_path", 2500))
    assert "expected 'integer_depth_scale'" in message_of(folder)
    for key in ("applied_scale", "integer_depth_scale", "depth_unit_scale_factor"):
        for value in (0, -1, "a", float("inf")):
            write_transforms(folder, write_depth(folder, "depth_file_path", 2500) | {key: value})
            assert f"{key}: expected a" in message_of(folder)


def with_model(folder: Path, scale: float, names: list[str], **more: object) -> Scene:
    """A scene whose COLMAP model lies in colmap/sparse/0, in another frame and size of world than the poses."""
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (300, 3))
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", CAMERA), "width": WIDTH, "height": HEIGHT}
    write_colmap(folder / "colmap", POSES, names, camera, points)
    transform = np.array([[1.0, 0, 0, 0.3], [0, 0, 1, -2], [0, -1, 0, 0.7], [0, 0, 0, 1]])
    poses = transform @ POSES
    poses[:, :3, 3] *= scale
    images = [f"images/{number}.png" for number in range(FRAMES)]
    return opened(folder, transforms_of(poses, CAMERA, (HEIGHT, WIDTH), images, **more))


NAMES = [f"{number}.png" for number in range(FRAMES)]


def test_near_and_far_come_from_the_model_beside_the_file(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However the world was turned, and at the size that the poses now have, with or without a word about it."""
    expected = with_model(folder, 1.0, NAMES).depth_range
    assert expected is not None
    (folder / "transforms.json").rename(folder / "hidden")
    assert open_own(folder).depth_range == pytest.approx(expected)  # the model alone
    for scene in (
        with_model(folder, 0.1, NAMES, applied_scale=0.1),
        with_model(folder, 0.1, NAMES),
        with_model(folder, 0.1, [f"frame_{name}" for name in NAMES], applied_scale=0.1),  # renamed since
    ):
        assert scene.depth_range == pytest.approx([side * 0.1 for side in expected])
    assert with_model(folder, 1.0, NAMES, near=0.5, far=7).depth_range == (0.5, 7.0)
    assert not caplog.records


def test_a_model_beside_the_file_that_is_damaged_is_no_obstacle(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_model(folder, 1.0, NAMES)
    points = folder / "colmap/sparse/0/points3D.bin"
    points.write_bytes(points.read_bytes()[:100])
    scene = open_own(folder)
    assert scene.depth_range is None and "points3D.bin" in caplog.text and "ends too early" in caplog.text


def test_poses_of_an_exposure_must_not_move(folder: Path) -> None:
    transforms = content()
    for frame in transforms["frames"]:
        frame["transform_matrix_start"] = frame.pop("transform_matrix")
    expected = opened(folder, content()).cam_to_world
    assert np.allclose(opened(folder, transforms).cam_to_world, expected)
    transforms["frames"][1]["transform_matrix_end"] = transforms["frames"][1]["transform_matrix_start"]
    assert np.allclose(opened(folder, transforms).cam_to_world, expected)
    transforms["frames"][1]["transform_matrix_end"] = transforms["frames"][2]["transform_matrix_start"]
    write_transforms(folder, transforms)
    assert "frame 1: expected one pose, found a 'transform_matrix_end'" in message_of(folder)


def test_poses_may_lack_their_last_row(folder: Path) -> None:
    transforms = content()
    for frame in transforms["frames"]:
        frame["transform_matrix"] = frame["transform_matrix"][:3]
    assert np.allclose(opened(folder, transforms).cam_to_world, POSES)
