"""Frames that are lost move no target; files are found under every usual spelling of their names."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_scenes import write_label_table, write_replica, write_scannet

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import EvaluationExamples
from gpnerf.data.file_names import recorded_frames
from gpnerf.data.protocol import Protocol, resolve
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.data.targets import FrameRule
from gpnerf.errors import UserError

CONFIGS = Path(__file__).parent.parent / "configs"
FRAMES = 24
TARGETS = [2, 5, 8, 11, 14, 17, 20, 23]


def protocol_of(dataset: str) -> Protocol:
    small = {"num_source_views": 3, "width": 32, "height": 24, "min_index_gap": 2}
    return replace(load_protocol("clean", dataset, CONFIGS), **small, evaluation_targets=FrameRule(start=2, step=3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    write_scannet(root / "data" / "scannet" / "scene", frames=FRAMES, labels=False, depth=False)
    write_replica(root / "data" / "Replica" / "scene" / "Sequence_1", frames=FRAMES)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy of the scenes that a test may spoil."""
    shutil.copytree(whole, tmp_path / "root")
    return tmp_path / "root"


def opened(root: Path, dataset: str) -> Scene:
    return open_scenes(root, ["scene"], protocol_of(dataset), FrameCache(0))[0]


def scannet_folder(root: Path) -> Path:
    return root / "data" / "scannet" / "scene"


def lose_pose(root: Path, _: str) -> None:
    (scannet_folder(root) / "pose" / "8.txt").write_text("-inf " * 16)


def lose_picture(root: Path, dataset: str) -> None:
    picture = "Replica/scene/Sequence_1/rgb/rgb_8.png" if dataset == "replica" else "scannet/scene/color/8.jpg"
    (root / "data" / picture).unlink()


LOSSES = [("scannet", lose_pose), ("scannet", lose_picture), ("replica", lose_picture)]


@pytest.mark.parametrize(("dataset", "lose"), LOSSES)
def test_a_lost_target_is_told_and_left_out_and_moves_no_other(
    root: Path, dataset: str, lose, caplog: pytest.LogCaptureFixture
) -> None:
    protocol = protocol_of(dataset)
    before = resolve(protocol, [opened(root, dataset)])
    assert [entry["target"] for entry in before["resolved"]["scene"]] == TARGETS and "lost_targets" not in before
    lose(root, dataset)
    scene = opened(root, dataset)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        after = resolve(protocol, [scene])
        assert resolve(protocol, [scene]) == after  # a second validation says nothing
    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith("scene: 1 target frames") and message.endswith(": 8")
    assert after["resolved"]["scene"] == [entry for entry in before["resolved"]["scene"] if entry["target"] != 8]
    assert after["lost_targets"] == {"scene": [8]} and after["sha256"] != before["sha256"]
    examples = EvaluationExamples(scene, protocol)
    assert [examples[k].frame for k in range(len(examples))] == [frame for frame in TARGETS if frame != 8]


@pytest.mark.parametrize("lost", [0, 6])
def test_a_lost_frame_that_is_no_target_changes_only_the_views_that_it_served(root: Path, lost: int) -> None:
    protocol = protocol_of("scannet")
    before = resolve(protocol, [opened(root, "scannet")])["resolved"]["scene"]
    (scannet_folder(root) / "color" / f"{lost}.jpg").unlink()
    after = resolve(protocol, [opened(root, "scannet")])["resolved"]["scene"]
    assert [entry["target"] for entry in after] == TARGETS
    for old, new in zip(before, after, strict=True):
        assert (old == new) == (lost not in old["sources"])
        assert min(abs(source - new["target"]) for source in new["sources"]) >= protocol.min_index_gap


def test_released_draws_hang_on_the_place_in_the_whole_list_of_targets(root: Path) -> None:
    """Frame 14, on the other side of the circle, is no candidate for frame 2, behind it in the list."""
    rule = FrameRule(frames={"scene": (14, 2)})
    protocol = replace(protocol_of("scannet"), source_rule="released", evaluation_targets=rule)
    before = resolve(protocol, [opened(root, "scannet")])["resolved"]["scene"]
    (scannet_folder(root) / "color" / "14.jpg").unlink()
    assert resolve(protocol, [opened(root, "scannet")])["resolved"]["scene"] == before[1:]


def test_a_listed_target_that_is_lost_is_left_out_and_none_at_all_is_an_error(root: Path) -> None:
    scene = opened(root, "scannet")
    some = FrameRule(frames={"scene": (40, 5, 41)})
    assert some.lost(scene) == [40, 41] and some.indices(scene) == [5]
    with pytest.raises(UserError, match="frame 40, frame 41"):
        FrameRule(frames={"scene": (40, 41)}).indices(scene)


def test_poses_between_the_pictures_of_a_sparse_export_are_no_frames() -> None:
    assert recorded_frames(range(3, 100, 20), range(100)) == [3, 23, 43, 63, 83]
    assert recorded_frames([0, 20, 60, 80], range(100)) == [0, 20, 40, 60, 80]
    assert recorded_frames([1, 2, 3], range(4)) == [0, 1, 2, 3]
    assert recorded_frames([5], []) == [5]


@pytest.mark.parametrize("dataset", ["scannet", "replica"])
def test_a_picture_that_is_missing_is_told_when_the_scene_is_opened(
    root: Path, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    lose_picture(root, dataset)
    lost = scannet_folder(root) / "pose" / "3.txt"
    lost.write_text("-inf " * 16)  # left by the recorder without a picture: nothing is missing
    (scannet_folder(root) / "color" / "3.jpg").unlink()
    opened(root, dataset)
    assert [record.getMessage() for record in caplog.records] == ["scene: 1 frames have a pose and no picture: 8"]


def renamed(folder: Path, form: str, ending: str) -> None:
    for part in ("color", "pose", "depth", "label-filt"):
        for path in list((folder / part).iterdir()):
            suffix = ending if part == "color" else path.suffix.upper() if ending.isupper() else path.suffix
            path.rename(path.with_name(form.format(int(path.stem)) + suffix))


@pytest.mark.parametrize("form", ["{}", "{:06d}"])
@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".Jpg"])
def test_frames_are_found_in_every_case_and_with_leading_zeros(tmp_path: Path, form: str, ending: str) -> None:
    table = write_label_table(tmp_path)
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene", frames=6)
    shutil.copy(table, folder.parent)

    def scene() -> Scene:
        return open_scenes(tmp_path, ["scene"], protocol_of("scannet"), FrameCache(0))[0]

    plain = [(scene().image(k), scene().depth(k), scene().labels(k)) for k in (1, 4)]
    renamed(folder, form, ending)
    assert scene().numbers.tolist() == list(range(6))
    for k, parts in zip((1, 4), plain, strict=True):
        for old, new in zip(parts, (scene().image(k), scene().depth(k), scene().labels(k)), strict=True):
            assert torch.equal(old, new)


def test_a_frame_of_another_ending_is_read_and_what_is_not_read_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_scannet(tmp_path / "scene", frames=5, labels=False, depth=False)
    colour = folder / "color"
    Image.open(colour / "3.jpg").save(colour / "3.png")
    (colour / "3.jpg").unlink()
    shutil.copy(colour / "2.jpg", colour / "002.jpg")
    Image.open(colour / "4.jpg").save(colour / "4.bmp")
    scene = scannet_scene(folder, name="scene", height=48, width=64, label_map=None, cache=FrameCache(0))
    assert scene.numbers.tolist() == [0, 1, 2, 3, 4]
    assert np.isfinite(scene.image(3).numpy()).all()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f"{colour}: several files for a frame; 1 are left aside: 002.jpg",
        f"{colour}: 1 files are not read, only .jpg or .jpeg or .png are: 4.bmp",
    ]


def test_a_folder_without_frames_shows_what_is_there(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "scene", frames=2, labels=False, depth=False)
    for path in list((folder / "color").iterdir()):
        path.rename(path.with_name(f"frame_{path.name}"))
    with pytest.raises(UserError, match=r"expected colour images N\.jpg.*such as 'frame_0\.jpg'"):
        scannet_scene(folder, name="scene", height=48, width=64, label_map=None, cache=FrameCache(0))
