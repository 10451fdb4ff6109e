"""Data that is not there: the message says what belongs there and how to get it, for rooms by commands that work."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError

CONFIGS = Path(__file__).parent.parent / "configs"


def protocol_of(dataset: str) -> Protocol:
    return replace(load_protocol("clean", dataset, CONFIGS), num_source_views=3, width=32, height=24)


def message_of(root: Path, dataset: str, *names: str) -> str:
    with pytest.raises(UserError) as caught:
        open_scenes(root, names, protocol_of(dataset), FrameCache(0))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "folder", "words"),
    [
        ("scannet", "scannet", ["sceneXXXX_YY", "terms of use", "scan-net.org"]),
        ("replica", "Replica", ["Sequence_1", "traj_w_c.txt", "Semantic-NeRF"]),
        ("rooms", "rooms", ["scripts/make_rooms.py"]),
    ],
)
def test_missing_data_says_what_belongs_there_and_how_to_get_it(
    tmp_path: Path, dataset: str, folder: str, words: list[str]
) -> None:
    message = message_of(tmp_path, dataset, "absent")
    assert all(word in message for word in [str(tmp_path / "data" / folder), "no such folder", "--rootdir", *words])
    (tmp_path / "data" / folder).mkdir(parents=True)
    message = message_of(tmp_path, dataset, "absent")
    assert all(word in message for word in [str(tmp_path / "data" / folder / "absent"), "no such scene", *words])


def room_names(*numbers: int) -> list[str]:
    return [f"room_{number:04d}" for number in numbers]


@pytest.mark.parametrize(
    ("present", "key", "commands", "count"),
    [
        (None, "scenes", ["--first 9000 --rooms 5"], None),
        (None, "train_scenes", ["--rooms 32"], None),
        (room_names(9001, 9002, 9003), "scenes", ["--first 9000 --rooms 1", "--first 9004 --rooms 1"], "2 of 5"),
        (room_names(*range(30)), "train_scenes", ["--first 30 --rooms 2"], "2 of 32"),
        ([], "validation_scenes", ["--first 8000 --rooms 1"], "1 of 1"),
    ],
)
def test_missing_rooms_come_with_the_commands_that_write_them(
    tmp_path: Path, present: list[str] | None, key: str, commands: list[str], count: str | None
) -> None:
    protocol, folder = protocol_of("rooms"), tmp_path / "data" / "rooms"
    for name in present or []:
        (folder / name).mkdir(parents=True)
    if present == []:
        folder.mkdir(parents=True)
    message = message_of(tmp_path, "rooms", *getattr(protocol, key))
    script = f"python scripts/make_rooms.py --out {folder} "
    assert f"`{' && '.join(script + command for command in commands)}`" in message
    assert (count is None) == ("no such folder" in message)
    assert count is None or f"{count} named by '{key}' of protocol rooms_clean are missing" in message
    assert "--train_set_list" in message


def test_the_command_of_the_message_writes_what_was_missing(tmp_path: Path) -> None:
    root = tmp_path / "a root"  # a path that a shell would split
    names = room_names(9000)
    _, *words = shlex.split(message_of(root, "rooms", *names).split("`")[1])
    small = ["--frames", "2", "--width", "40", "--height", "32"]
    subprocess.run([sys.executable, *words, *small], cwd=CONFIGS.parent, check=True, capture_output=True)
    scenes = open_scenes(root, names, protocol_of("rooms"), FrameCache(0))
    assert [scene.name for scene in scenes] == names


def test_a_list_that_is_not_the_protocols_is_called_the_split(tmp_path: Path) -> None:
    (tmp_path / "data" / "scannet").mkdir(parents=True)
    assert "(1 of 1 named by the split are missing)" in message_of(tmp_path, "scannet", "scene0000_00")
