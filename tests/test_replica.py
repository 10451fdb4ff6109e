"""The Replica reader, on sequences written here."""

import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_scenes import circle_pose, write_replica

from gpnerf.data.labels import replica_labels
from gpnerf.data.replica import replica_scene
from gpnerf.data.scene import FrameCache, Scene


def open_sequence(folder: Path, height: int = 48, width: int = 64, compat: str = "none") -> Scene:
    cache = FrameCache(10**7)
    labels = replica_labels()
    return replica_scene(folder, name="s", height=height, width=width, label_map=labels, cache=cache, compat=compat)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_replica(tmp_path_factory.mktemp("replica") / "office_0" / "Sequence_1", frames=12)


def test_a_frame_is_read_as_it_is_on_disk(folder: Path) -> None:
    scene = open_sequence(folder)
    assert scene.numbers.tolist() == list(range(12))
    colour = torch.from_numpy(iio.imread(folder / "rgb" / "rgb_10.png")).permute(2, 0, 1)
    assert torch.equal((scene.image(10) * 255).round().byte(), colour)
    depth, labels, instances = scene.depth(10), scene.labels(10), scene.instances(10)
    assert depth is not None and labels is not None and instances is not None
    assert np.allclose(depth.numpy() * 1000, iio.imread(folder / "depth" / "depth_10.png"), atol=1e-3)
    raw = iio.imread(folder / "semantic_class" / "semantic_class_10.png")
    assert (labels.numpy()[raw == 93] == 47).all() and (labels.numpy()[raw == 0] == 51).all()
    assert (raw == 93).any() and (raw == 0).any()
    assert np.array_equal(instances.numpy(), iio.imread(folder / "semantic_instance" / "semantic_instance_10.png"))


def test_a_frame_may_lack_its_class_file(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = shutil.copytree(folder, tmp_path / "Sequence_1")
    (copy / "semantic_class" / "semantic_class_4.png").unlink()
    shutil.rmtree(copy / "semantic_instance")
    scene = open_sequence(copy)
    assert [index for index in range(12) if scene.labels(index) is None] == [4]
    assert scene.instances(0) is None and scene.depth(4) is not None
    assert [record.getMessage().count("semantic_class_4.png") for record in caplog.records] == [1]


def test_poses_belong_to_frame_numbers_when_frames_are_sparse(tmp_path: Path) -> None:
    folder = write_replica(tmp_path / "Sequence_1", frames=6)
    for number in (0, 1, 3):
        (folder / "rgb" / f"rgb_{number}.png").unlink()
    scene = open_sequence(folder)
    assert scene.numbers.tolist() == [2, 4, 5]
    assert np.allclose(scene.cam_to_world, [circle_pose(number, 6) for number in (2, 4, 5)])


def test_intrinsics_are_those_of_the_renderer(folder: Path) -> None:
    full = open_sequence(folder, 480, 640).camera(0).intrinsics
    assert full.tolist() == [[320.0, 0.0, 319.5], [0.0, 320.0, 239.5], [0.0, 0.0, 1.0]]
    half = open_sequence(folder, 240, 320).camera(0).intrinsics
    # The image spans [-0.5, 639.5] and [-0.5, 319.5]: its middle stays the principal point, its field of view stays.
    assert torch.allclose(half, torch.tensor([[160.0, 0, 159.5], [0, 160.0, 119.5], [0, 0, 1]]))
    released = open_sequence(folder, 480, 640, compat="release").camera(0).intrinsics
    assert released.tolist() == [[320.0, 0.0, 320.0], [0.0, 319.5, 229.5], [0.0, 0.0, 1.0]]
