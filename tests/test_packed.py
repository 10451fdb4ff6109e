"""Packed frames: the same tensors as from the pictures, in the same ways absent or unreadable."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from packed_scenes import (
    CONFIGS,
    FRAMES,
    HEIGHT,
    PARTS,
    REPOSITORY,
    WIDTH,
    assert_same_frames,
    opened,
    own,
    packed,
    protocol_of,
    replica,
    room,
)
from scripts_here import InThisProcess, run_here, script

from gpnerf.data.catalogue import scene_folder
from gpnerf.data.dataset import TrainingExamples
from gpnerf.data.packed_files import packed_path, packed_size
from gpnerf.data.protocol_file import load_protocol
from gpnerf.errors import UserError
from gpnerf.structures import Example, FrameFailure


def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> np.ndarray:
        raise AssertionError(f"{path} was decoded")

    monkeypatch.setattr("gpnerf.data.frames.decode_colour", refuse)
    monkeypatch.setattr("gpnerf.data.frames.decode_map", refuse)


CASES = [
    (room, "rooms", "clean", (HEIGHT, WIDTH)),  # bytes, as no picture is resized
    (room, "rooms", "clean", (24, 40)),
    (replica, "replica", "clean", (24, 32)),
    (replica, "replica", "release", (24, 32)),
    (own, "posed_images", "clean", (24, 32)),
    (own, "posed_images", "clean", (HEIGHT, WIDTH)),  # undistorted, not resized
]


@pytest.mark.parametrize(("write", "dataset", "kind", "size"), CASES)
def test_packed_frames_are_those_of_the_pictures_to_the_bit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], str],
    dataset: str,
    kind: str,
    size: tuple[int, int],
) -> None:
    name, protocol = write(tmp_path), protocol_of(dataset, size, kind)
    plain = opened(tmp_path, name, protocol)
    expected = [[getattr(plain, part)(index) for part in PARTS] for index in range(FRAMES)]
    scene = packed(tmp_path, name, protocol)
    assert plain.packed is None and scene.packed is not None
    file = packed_path(scene, scene_folder(tmp_path, dataset, name))
    assert 0 <= file.stat().st_size - packed_size(scene) < 1024  # NumPy's header
    no_decoding(monkeypatch)
    for index in range(FRAMES):
        for part, value in zip(PARTS, expected[index], strict=True):
            found = getattr(scene, part)(index)
            assert (found is None) == (value is None)
            assert value is None or (found.dtype == value.dtype and torch.equal(found, value))


def test_frames_without_a_file_stay_without(tmp_path: Path) -> None:
    name, protocol = room(tmp_path), protocol_of("rooms", (24, 32))
    folder = tmp_path / "data/rooms" / name
    (folder / "depth/3.png").unlink()
    (folder / "label-filt/5.png").unlink()
    shutil.rmtree(folder / "instance-filt")
    plain = opened(tmp_path, name, protocol)
    scene = packed(tmp_path, name, protocol)
    assert scene.packed is not None and scene.depth(3) is None and scene.labels(5) is None
    assert_same_frames(scene, plain)


def test_an_unreadable_picture_fails_with_and_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name, protocol = room(tmp_path), protocol_of("rooms", (24, 32))
    (tmp_path / "data/rooms" / name / "color/7.jpg").write_bytes(b"")
    scene = packed(tmp_path, name, protocol)
    assert "left out" in caplog.text and scene.packed is not None
    with pytest.raises(UserError, match=r"7\.jpg"):
        scene.image(7)
    examples = TrainingExamples([scene], protocol, seed=0, finetune=False)
    made = [examples[0, index] for index in range(len(examples))]
    assert any(isinstance(one, FrameFailure) for one in made) and any(isinstance(one, Example) for one in made)


def test_a_loader_process_gets_the_name_of_the_file_not_its_content(tmp_path: Path) -> None:
    name, protocol = room(tmp_path), protocol_of("rooms", (24, 32))
    scene = packed(tmp_path, name, protocol)
    image = scene.image(3)  # maps the file
    sent = pickle.dumps(scene)
    assert len(sent) < packed_size(scene) / 10
    assert torch.equal(pickle.loads(sent).image(3), image)


def test_sizes_and_rules_have_files_of_their_own(tmp_path: Path) -> None:
    name = replica(tmp_path)
    protocols = [
        protocol_of("replica", (24, 32)),
        protocol_of("replica", (20, 30)),
        protocol_of("replica", (24, 32), "release"),
    ]
    for protocol in protocols:
        assert packed(tmp_path, name, protocol).packed is not None
    assert len(list((tmp_path / "data/Replica/office_0/Sequence_1/packed").glob("*.npy"))) == 3
    for protocol in protocols:
        scene = opened(tmp_path, name, protocol)
        assert scene.packed is not None
        assert_same_frames(scene, replace(scene, packed=None))


@pytest.mark.slow
def test_the_script_packs_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = room(tmp_path)
    shutil.copytree(tmp_path / "data/rooms" / name, tmp_path / "data/rooms/room_9000")
    (tmp_path / "val.txt").write_text("room_9000")
    command = ["scripts/pack_scenes.py", "--config", "configs/gnt_rooms.txt", "--rootdir", str(tmp_path)]
    command += ["--train_scenes", name, "--val_set_list", str(tmp_path / "val.txt"), "--jobs", "2"]
    done = subprocess.run([sys.executable, *command], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert "2 scenes packed (0 were already)" in done.stdout
    protocol = load_protocol("clean", "rooms", CONFIGS)
    assert all(opened(tmp_path, scene, protocol).packed is not None for scene in (name, "room_9000"))
    os.utime(tmp_path / "data/rooms" / name / "color/3.jpg")
    monkeypatch.setattr(script("scripts/pack_scenes.py"), "ProcessPoolExecutor", InThisProcess)
    run_here(*command)
    assert "2 scenes packed (1 were already)" in capsys.readouterr().out
