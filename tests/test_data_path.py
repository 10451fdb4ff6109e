"""What is read from disk, and how often."""

import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_runs import EVALUATION_SCENES, TRAINING_SCENE, flags, training
from tiny_scenes import smooth_image, write_label_table, write_replica, write_scannet

from gpnerf.assembly import build_finetuning
from gpnerf.assembly.data import data_source, training_examples
from gpnerf.config import parse
from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import EvaluationExamples, TrainingExamples
from gpnerf.data.files import read_many
from gpnerf.data.images import blur_and_resize, decode_colour
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError
from gpnerf.structures import Example

pytest_plugins = ["run_fixtures"]
CONFIGS = Path(__file__).parent.parent / "configs"
PICTURES = {".jpg", ".png"}


@dataclass
class Disk:
    """Files opened and folders listed below a folder while it is watched."""

    files: Counter[Path] = field(default_factory=Counter)
    folders: Counter[Path] = field(default_factory=Counter)

    def texts(self) -> Counter[Path]:
        return Counter({path: count for path, count in self.files.items() if path.suffix not in PICTURES})


_WATCHED: list[tuple[Path, Disk]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _WATCHED and event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | Path):
        path = Path(arguments[0])
        for root, disk in _WATCHED:
            if path.is_relative_to(root):
                (disk.files if event == "open" else disk.folders)[path] += 1


sys.addaudithook(_audit)  # the interpreter's own report of every file opened in Python; it cannot be taken off again


@contextmanager
def watch(root: Path) -> Iterator[Disk]:
    disk = Disk()
    _WATCHED.append((root, disk))
    try:
        yield disk
    finally:
        _WATCHED.remove((root, disk))


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return replace(load_protocol("clean", "rooms", CONFIGS), num_source_views=3, width=32, height=24)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A root folder with two rooms of 14 frames."""
    for name in ("room_0000", "room_0001"):
        write_scannet(tmp_path / "data" / "rooms" / name, frames=14)
    write_label_table(tmp_path / "data" / "rooms")
    return tmp_path


def examples_of(root: Path, protocol: Protocol, cache: int = 10**7) -> TrainingExamples:
    scenes = open_scenes(root, ["room_0000", "room_0001"], protocol, FrameCache(cache))
    return TrainingExamples(scenes, protocol, seed=0, finetune=False)


def test_the_watch_sees_files_and_folders(data: Path) -> None:
    """Guards the tests below: what it did not see they would not count."""
    folder = data / "data" / "rooms" / "room_0000"
    with watch(data) as disk:
        decode_colour(folder / "color" / "0.jpg")
        iio.imread(folder / "depth" / "0.png")
        (folder / "pose" / "0.txt").read_text()
        list((folder / "pose").iterdir())
    assert {path.name for path in disk.files} == {"0.jpg", "0.png", "0.txt"}
    assert disk.folders == {folder / "pose": 1}


def test_opening_reads_every_small_file_and_lists_every_folder_once(data: Path, protocol: Protocol) -> None:
    with watch(data) as disk:
        examples_of(data, protocol)
    poses = [path for path in disk.files if path.parent.name == "pose"]
    assert len(poses) == 28 and any(path.suffix == ".tsv" for path in disk.files)
    assert set(disk.files.values()) == {1} and set(disk.folders.values()) == {1}
    assert all(path.suffix not in PICTURES or path.name == "0.jpg" for path in disk.files)


def test_examples_open_pictures_only_each_once_while_the_cache_holds_them(data: Path, protocol: Protocol) -> None:
    examples = examples_of(data, protocol)
    with watch(data) as disk:
        for epoch in range(3):
            for index in range(len(examples)):
                assert isinstance(examples[epoch, index], Example)
        for scene in examples.scenes:
            assert len([scored := EvaluationExamples(scene, protocol), scored[0], scored[1]]) == 3
    assert disk.folders == {} and disk.texts() == {}
    assert len(disk.files) == 3 * 28 and set(disk.files.values()) == {1}  # colour, depth, labels


def test_without_a_cache_an_example_opens_each_of_its_pictures_once(data: Path, protocol: Protocol) -> None:
    examples = examples_of(data, protocol, cache=0)
    for index in range(5):
        with watch(data) as disk:
            assert isinstance(examples[0, index], Example)
        assert disk.folders == {} and sum(disk.files.values()) == len(disk.files) == 1 + 3 + 2


def test_a_worker_gets_opened_scenes_without_frames_and_reads_no_small_file(data: Path, protocol: Protocol) -> None:
    examples = examples_of(data, protocol)
    made = [examples[0, index] for index in range(len(examples))]
    sent = pickle.dumps(examples)
    assert 10 * len(sent) < examples.scenes[0].cache.size
    with watch(data) as disk:
        copy = pickle.loads(sent)
        assert disk.files == {}
        again = copy[0, 5]
    assert disk.texts() == {} and disk.folders == {}
    assert isinstance(again, Example) and isinstance(made[5], Example)
    assert torch.equal(again.sources.images, made[5].sources.images)
    caches = {id(scene.cache): scene.cache for scene in copy.scenes}
    assert [cache.capacity for cache in caches.values()] == [10**7]


@pytest.mark.parametrize("purposes", [("train_rooms", "val_rooms"), ("val_rooms", "train_rooms")])
def test_a_run_opens_a_scene_once_for_all_its_purposes(data: Path, purposes: tuple[str, str]) -> None:
    config = parse(flags(data, "--train_scenes", "room_0000", "room_0001"))
    with watch(data) as disk:
        first = data_source(config, purposes[0]).open(["room_0000"], every_sequence=True)
        examples, _ = training_examples(config)
        second = data_source(config, purposes[1]).open(["room_0001", "room_0000"])
    assert second[1] is first[0] and isinstance(examples, TrainingExamples) and examples.scenes[0] is first[0]
    assert set(disk.texts().values()) == {1} and set(disk.folders.values()) == {1}
    assert data_source(parse(flags(data, "--seed", 1)), purposes[0]).open(["room_0000"])[0] is not first[0]


def test_a_trajectory_is_read_once_whichever_sequences_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "Replica" / "office_0"
    for name in ("Sequence_1", "Sequence_2"):
        write_replica(folder / name, frames=14)
    protocol = replace(load_protocol("clean", "replica", CONFIGS), num_source_views=3, width=32, height=24)
    opened: dict[str, Scene] = {}
    with watch(tmp_path) as disk:
        every = open_scenes(tmp_path, ["office_0"], protocol, FrameCache(0), True, opened)
        [scored] = open_scenes(tmp_path, ["office_0"], protocol, FrameCache(0), False, opened)
        [named] = open_scenes(tmp_path, ["office_0/Sequence_2"], protocol, FrameCache(0), False, opened)
    assert every == [scored, named]
    assert disk.texts() == {folder / name / "traj_w_c.txt": 1 for name in ("Sequence_1", "Sequence_2")}


@pytest.mark.usefixtures("tiny_setting")
def test_training_with_validation_reads_every_small_file_once(root: Path) -> None:
    with watch(root / "data") as disk:
        training(root, "--expname", "read", "--train_scenes", TRAINING_SCENE, EVALUATION_SCENES[0]).run()
    assert set(disk.texts().values()) == {1} and set(disk.folders.values()) == {1}
    assert len([path for path in disk.files if path.name == "intrinsic_color.txt"]) == 3
    assert max(disk.files.values()) == 2  # the header for the size, then the picture


@pytest.mark.usefixtures("tiny_setting")
def test_fine_tuning_scene_after_scene_reads_every_small_file_once(root: Path) -> None:
    config = parse(flags(root, "--ckpt_path", root / "out/gpnerf/model_000006.pth", "--expname", "tuned"))
    with watch(root / "data") as disk:
        build_finetuning(config).run()
    assert set(disk.texts().values()) == {1} and set(disk.folders.values()) == {1}
    assert len([path for path in disk.files if path.name == "intrinsic_color.txt"]) == 2


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_reading_many_keeps_the_order(count: int) -> None:
    numbers = list(range(count, 0, -1))
    assert read_many(lambda number: 2 * number, numbers) == [2 * number for number in numbers]


def test_reading_many_fails_with_the_first_error_and_waits_for_several_files_at_once() -> None:
    waiting: set[int] = set()
    together = []

    def fail(number: int) -> int:
        waiting.add(number)
        together.append(len(waiting))
        time.sleep(0.01)
        waiting.remove(number)
        if number in (70, 71, 12):
            raise UserError(f"number {number}")
        return number

    with pytest.raises(UserError, match="number 12"):
        read_many(fail, range(160))
    assert max(together) > 2


@pytest.mark.parametrize("subsampling", ["411", "420", "422", "444"])
@pytest.mark.parametrize(("height", "width"), [(96, 128), (97, 131)])
def test_jpeg_files_have_pillows_values(tmp_path: Path, subsampling: str, height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    image = np.clip(smooth_image(rng, height, width) + rng.normal(0, 9, (height, width, 3)), 0, 255).astype(np.uint8)
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{subsampling}")
    for progressive in (0, 1):
        path = tmp_path / f"{progressive}.jpg"
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 90, *options])
        assert np.array_equal(decode_colour(path), iio.imread(path))
        path.write_bytes(path.read_bytes() + b"\0\0")  # padding after the end
        assert np.array_equal(decode_colour(path), iio.imread(path))


@pytest.mark.parametrize("scale", [(0.25, 0.3), (1.0, 1.0), (2.0, 0.5)])
def test_bytes_are_blurred_without_rounding(scale: tuple[float, float]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    small = blur_and_resize(image, 11, 13, scale)
    assert np.allclose(small / 255, blur_and_resize(image.astype(np.float32) / 255, 11, 13, scale), atol=5e-5)
    assert not np.array_equal(small, small.round())
