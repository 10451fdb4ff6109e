"""Photographs with a transforms.json or a COLMAP model: the same scene as in ScanNet's layout, whatever the camera."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pycolmap
import pytest
import torch
from posed_scenes import parameters, transforms_of, write_colmap, write_transforms
from tiny_scenes import INTRINSICS, circle_pose, smooth_image, write_label_table, write_scannet

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.labels import scannet_labels
from gpnerf.data.posed_images import posed_images_scene
from gpnerf.data.protocol import resolve
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache, Scene

CONFIGS = Path(__file__).parent.parent / "configs"
FRAMES = 12  # so that 2 and 10 are among the names
HEIGHT, WIDTH = 48, 64


def opened(folder: Path, height: int = 24, width: int = 32) -> Scene:
    return posed_images_scene(folder, name="own", height=height, width=width, label_map=None, cache=FrameCache(0))


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A scene in ScanNet's layout."""
    write_label_table(tmp_path)
    return write_scannet(tmp_path / "room", FRAMES, HEIGHT, WIDTH)


def photographs(room: Path, truth: bool = True) -> tuple[Path, list[str], np.ndarray]:
    """The room's pictures in the folder of one's own photographs, with their names and poses."""
    folder = room.parent / "own"
    for part in ("color", *["depth", "label-filt", "instance-filt"] * truth):
        shutil.copytree(room / part, folder / ("images" if part == "color" else part))
    names = [f"{number}.jpg" for number in range(FRAMES)]
    return folder, names, np.stack([circle_pose(number, FRAMES) for number in range(FRAMES)])


def as_transforms(folder: Path, names: list[str], poses: np.ndarray) -> None:
    paths = [f"./images/{name}" for name in names]
    write_transforms(folder, transforms_of(poses[::-1], INTRINSICS, (HEIGHT, WIDTH), paths[::-1]))  # in any order


def as_colmap(text: bool) -> Callable[[Path, list[str], np.ndarray], None]:
    def write(folder: Path, names: list[str], poses: np.ndarray) -> None:
        camera = {"model": "PINHOLE", "params": parameters("PINHOLE", INTRINSICS), "width": WIDTH, "height": HEIGHT}
        write_colmap(folder, poses, names, camera, text=text)

    return write


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (20, 31)])
@pytest.mark.parametrize("write", [as_transforms, as_colmap(text=True), as_colmap(text=False)])
def test_a_room_comes_back_as_it_was(room: Path, write: Callable[..., None], size: tuple[int, int]) -> None:
    folder, names, poses = photographs(room)
    write(folder, names, poses)
    labels = scannet_labels(room.parent / "scannetv2-labels.combined.tsv")
    settings = {"height": size[0], "width": size[1], "label_map": labels, "cache": FrameCache(0)}
    expected = scannet_scene(room, name="room", **settings)
    found = posed_images_scene(folder, name="own", **settings)
    assert np.array_equal(found.numbers, expected.numbers)
    cameras, truth = (scene.cameras(list(range(FRAMES))) for scene in (found, expected))
    assert torch.allclose(cameras.intrinsics, truth.intrinsics, atol=1e-5)
    assert torch.allclose(cameras.cam_to_world, truth.cam_to_world, atol=1e-6)
    for index in range(FRAMES):
        assert torch.equal(found.image(index), expected.image(index))
        for part in ("depth", "labels", "instances"):
            assert torch.equal(getattr(found, part)(index), getattr(expected, part)(index))


def test_depth_may_be_named_and_truth_may_be_missing(room: Path) -> None:
    folder, names, poses = photographs(room)
    content = transforms_of(poses, INTRINSICS, (HEIGHT, WIDTH), [f"images/{name}" for name in names])
    content["frames"][3]["depth_file_path"] = "depth/7.png"
    write_transforms(folder, content)
    (folder / "depth" / "5.png").unlink()
    shutil.rmtree(folder / "label-filt")
    scene = opened(folder)
    assert not scene.has_labels and scene.labels(0) is None and scene.depth(5) is None
    third, seventh = scene.depth(3), scene.depth(7)
    assert third is not None and seventh is not None and torch.equal(third, seventh)


DISTORTED = {
    "SIMPLE_PINHOLE": (),
    "SIMPLE_RADIAL": (-0.21,),
    "RADIAL": (0.18, -0.06),
    "OPENCV": (-0.25, 0.07, 0.012, -0.009),
    "FULL_OPENCV": (0.3, 0.1, 0.004, -0.006, 0.01, 0.45, 0.2, 0.03),
    "FISHEYE": (),
    "SIMPLE_RADIAL_FISHEYE": (-0.04,),
    "RADIAL_FISHEYE": (0.03, -0.02),
    "OPENCV_FISHEYE": (0.05, -0.03, 0.02, -0.005),
}
ROUND = np.array([[150.0, 0, 96.3], [0, 150.0, 70.8], [0, 0, 1]])
SIZE = (144, 192)


def world(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth RGB picture of what lies in the direction (x, y, 1)."""
    return 127 + 100 * np.stack([np.sin(5 * x + 3 * y), np.cos(4 * x - 6 * y), np.sin(7 * y)], axis=-1)


def photograph(camera: pycolmap.Camera, size: tuple[int, int]) -> np.ndarray:
    """What a camera sees of `world`, ray by ray by COLMAP's own formulas, in a picture of any (height, width)."""
    v, u = np.mgrid[: size[0], : size[1]] + 0.5
    pixels = np.stack([u.ravel() * camera.width / size[1], v.ravel() * camera.height / size[0]], axis=-1)
    rays = camera.cam_from_img(pixels).reshape(*size, 2)
    return world(rays[..., 0], rays[..., 1])


def expected_view(scene: Scene) -> np.ndarray:
    """What a pinhole camera with the scene's intrinsics sees of `world`."""
    camera = scene.camera(0)
    v, u = np.mgrid[: camera.height, : camera.width]
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    return world((u - cx) / fx, (v - cy) / fy)


def write_photograph(folder: Path, camera: pycolmap.Camera) -> None:
    """A picture of `world`, a label map of another size (what is dark), and the two named by their place."""
    for part in ("images", "instance-filt"):
        (folder / part).mkdir(parents=True)
    iio.imwrite(folder / "images" / "0.png", np.rint(photograph(camera, SIZE)).astype(np.uint8))
    dark = photograph(camera, (SIZE[0] * 2, SIZE[1] * 2))[..., 0] < 127
    iio.imwrite(folder / "instance-filt" / "0.png", dark.astype(np.uint8))


@pytest.mark.parametrize("source", ["colmap", "transforms"])
@pytest.mark.parametrize("model", DISTORTED)
def test_distortion_is_undone(tmp_path: Path, model: str, source: str) -> None:
    numbers = parameters(model, ROUND, DISTORTED[model])
    camera = {"model": model, "params": numbers, "width": SIZE[1], "height": SIZE[0]}
    write_photograph(tmp_path, pycolmap.Camera(**camera))
    if source == "colmap":
        write_colmap(tmp_path, np.eye(4)[None], ["0.png"], camera)
    else:
        order = ("k1", "k2", "k3", "k4") if "FISHEYE" in model else ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
        keys = dict(zip(order, DISTORTED[model], strict=False)) | {"camera_model": model}
        write_transforms(tmp_path, transforms_of(np.eye(4)[None], ROUND, SIZE, ["images/0.png"], **keys))
    scene = opened(tmp_path, *SIZE)
    found = 255 * scene.image(0).permute(1, 2, 0).numpy()
    assert np.abs(found - expected_view(scene)).max() < 2.5  # interpolation and rounding; nothing black at the borders
    seen = scene.instances(0)
    assert seen is not None and (seen.numpy() == (expected_view(scene)[..., 0] < 127)).mean() > 0.99
    half = opened(tmp_path, SIZE[0] // 2, SIZE[1] // 2)
    middle = (255 * half.image(0).permute(1, 2, 0).numpy() - expected_view(half))[4:-4, 4:-4]
    assert np.abs(middle).max() < 2.5


def test_photographs_may_differ_in_size_and_camera(tmp_path: Path) -> None:
    """A portrait and a landscape picture of the same world, each with its own numbers in its frame."""
    content = transforms_of(np.stack([np.eye(4)] * 2), ROUND, SIZE, ["0.png", "1.png"])
    for place, (height, width) in enumerate([SIZE, (SIZE[1], SIZE[0])]):
        numbers = {"fl_x": 150.0, "fl_y": 160.0, "cx": width / 2, "cy": height / 2, "w": width, "h": height, "k1": -0.2}
        content["frames"][place] |= numbers if place else {}
        kind, params = ("OPENCV", [150, 160, width / 2, height / 2, -0.2, 0, 0, 0]) if place else ("PINHOLE", None)
        camera = pycolmap.Camera(model=kind, params=params or parameters("PINHOLE", ROUND), width=width, height=height)
        iio.imwrite(tmp_path / f"{place}.png", np.rint(photograph(camera, (height, width))).astype(np.uint8))
    write_transforms(tmp_path, content)
    scene = opened(tmp_path, SIZE[0] // 2, SIZE[1] // 2)
    for index in range(2):
        camera = scene.camera(index)
        v, u = np.mgrid[: camera.height, : camera.width]
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
        difference = 255 * scene.image(index).permute(1, 2, 0).numpy() - world((u - cx) / fx, (v - cy) / fy)
        assert np.abs(difference[4:-4, 4:-4]).max() < 4


def test_near_and_far_enclose_the_points_but_not_the_strays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    poses = np.stack([np.eye(4)] * 3)
    poses[:, :3, 3] = [[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]
    points = np.column_stack([rng.uniform(-1, 1, (2000, 2)), rng.uniform(2, 5, 2000)])
    points[:3, 2] = 400, 0.001, -7
    (tmp_path / "images").mkdir()
    names = [f"{k}.png" for k in range(3)]
    for name in names:
        iio.imwrite(tmp_path / "images" / name, smooth_image(rng, HEIGHT, WIDTH))
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", INTRINSICS), "width": WIDTH, "height": HEIGHT}
    write_colmap(tmp_path, poses, names, camera, points)
    depth_range = opened(tmp_path).depth_range
    assert depth_range is not None
    assert 1.2 < depth_range[0] < 2 and 5 < depth_range[1] < 8


def test_of_several_models_the_one_with_most_images_is_read(room: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, names, poses = photographs(room, truth=False)
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", INTRINSICS), "width": WIDTH, "height": HEIGHT}
    write_colmap(folder, poses[:9], names[:9], camera).rename(folder / "sparse" / "1")
    write_colmap(folder, poses[9:], names[9:], camera)
    assert len(opened(folder)) == 9
    assert "2 COLMAP models" in caplog.text


def test_near_and_far_reach_the_rays_and_the_result(room: Path, tmp_path: Path) -> None:
    folder, names, poses = photographs(room, truth=False)
    place = tmp_path / "data" / "posed_images"
    place.mkdir(parents=True)
    folder = folder.rename(place / "kitchen")
    content = transforms_of(poses, INTRINSICS, (HEIGHT, WIDTH), [f"images/{name}" for name in names], near=0.5, far=7)
    write_transforms(folder, content)
    protocol = replace(load_protocol("clean", "posed_images", CONFIGS), num_source_views=3, width=32, height=24)
    [scene] = open_scenes(tmp_path, protocol.scenes, protocol, FrameCache(0))
    assert scene.name == "kitchen" and protocol.evaluation_indices(scene) == [0, 8]
    assert protocol.training_indices(scene) == [index for index in range(FRAMES) if index not in (0, 8)]
    assert protocol.depth_range(scene, "training") == (0.5, 7.0)
    described = resolve(protocol, [scene])
    assert described["resolved_depth_ranges"] == {"kitchen": [0.5, 7.0]}
    write_transforms(folder, content | {"far": 9})
    [changed] = open_scenes(tmp_path, [], protocol, FrameCache(0))
    assert resolve(protocol, [changed])["sha256"] != described["sha256"]
