"""Names and places that cannot be: scenes that lead elsewhere, pictures beyond the memory, folders that are files."""

import errno
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from bounds import bounded
from packed_scenes import CONFIGS, protocol_of
from tiny_runs import flags
from tiny_scenes import write_label_table, write_scannet

import train_gpnerf
from gpnerf.assembly.data import data_source, scene_names
from gpnerf.assembly.free_views import open_scene
from gpnerf.config import parse
from gpnerf.data.catalogue import open_scenes
from gpnerf.data.images import decode_colour, decode_map, image_size
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError, run_script

pytest_plugins = ["run_fixtures"]

LEADING_OUT = (
    *("../outside", "room_0000/../../outside", "..", ".", "", " ", "/etc", "~", "~root", ".hidden", "./room_0000"),
    *("room_0000/", "room_0000//x", "a\0b", "a\nb", "x" * 300, "é" * 200, "room_0000/" + "y" * 256),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room, and a folder beside data/ that looks like one."""
    root = tmp_path_factory.mktemp("places")
    write_scannet(root / "data/rooms/room_0000", 3, 24, 32)
    write_scannet(root / "data/outside", 3, 24, 32)
    write_label_table(root / "data/rooms")
    return root


def assert_refused(action: Callable[[], object]) -> None:
    with pytest.raises(UserError) as error:
        action()
    assert "expected" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 1600


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_scene_is_a_folder_of_its_data_set(data: Path, name: str, tmp_path: Path) -> None:
    protocol = protocol_of("rooms", (24, 32))
    assert open_scenes(data, ["room_0000"], protocol, FrameCache(0))
    assert_refused(lambda: open_scenes(data, ["room_0000", name], protocol, FrameCache(0)))
    # --scene and --train_scenes
    config = parse(flags(data, "--train_scenes", name))
    assert_refused(lambda: open_scene(config, name))
    source = data_source(config, "train_rooms")
    assert_refused(lambda: source.open(scene_names(config, source.protocol, "training")))


@pytest.mark.parametrize("name", [name for name in LEADING_OUT if ".." in name or len(name) > 100 or name == "~"])
def test_nor_does_a_split_or_protocol_file_lead_out(data: Path, name: str, tmp_path: Path) -> None:
    split, rules = tmp_path / "split.txt", json.loads((CONFIGS / "protocols/rooms_clean.json").read_text())
    split.write_text(f"rooms/{name}\n")
    config = parse(flags(data, "--val_set_list", split))
    source = data_source(config, "val_rooms")
    assert_refused(lambda: source.open(scene_names(config, source.protocol, "evaluation")))
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**rules, "scenes": [name]}))
    protocol = load_protocol(str(path), "rooms", CONFIGS)
    assert_refused(lambda: open_scenes(data, protocol.scenes, protocol, FrameCache(0)))


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "~", "", ".", "x" * 300, "a/" + "x" * 256, "a\nb", "a\0b"])
def test_a_run_has_a_folder_in_out(name: str) -> None:
    assert_refused(lambda: parse(["--expname", name]))


def png_of(height: int, width: int, colour: bool) -> bytes:
    """A file of a hundred bytes that states any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">II5B", width, height, 8, 2 if colour else 0, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


def jpeg_of(height: int, width: int) -> bytes:
    code = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    start = code.index(b"\xff\xc0") + 5
    return code[:start] + struct.pack(">HH", height, width) + code[start + 4 :]


@pytest.mark.parametrize("size", [(65_500, 65_500), (20_000, 20_000), (12_000, 12_000), (65_500, 8_000)])
def test_a_picture_that_states_a_huge_size_is_not_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    readers = {"a.png": decode_colour, "a.jpg": decode_colour, "m.png": decode_map}
    codes = {"a.png": png_of(*size, True), "a.jpg": jpeg_of(*size), "m.png": png_of(*size, False)}
    for name, read in readers.items():
        (tmp_path / name).write_bytes(codes[name])
        for action in (image_size, read):
            with bounded(), pytest.raises(UserError, match=rf"{name}: expected .* (at most|more than) \d+ pixels"):
                action(tmp_path / name)


def error_of(main: Callable[[], None], capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit) as end:
        run_script(main)
    assert end.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line[:1].isdigit()]  # but the log's
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    "number",
    [
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    ],
)
def test_a_place_that_cannot_be_used_is_one_line(number: int, capsys: pytest.CaptureFixture) -> None:
    def main() -> None:
        raise OSError(number, "no use", "out/x/config.txt")

    assert error_of(main, capsys).startswith("error: out/x/config.txt: cannot be read or written (no use);")


@pytest.mark.usefixtures("tiny_setting")
def test_a_file_named_out(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text("")
    (tmp_path / "data").symlink_to(root / "data")
    split = ("--val_set_list", root / "val.txt")
    monkeypatch.setattr(sys, "argv", ["train_gpnerf.py", *flags(tmp_path, "--expname", "mine", *split)])
    assert "out/mine" in error_of(train_gpnerf.main, capsys)
    assert (tmp_path / "out").is_file()


@pytest.mark.usefixtures("tiny_setting")
@pytest.mark.parametrize("name", ["args.txt", "losses.jsonl", "log.txt"])
def test_a_pipe_in_the_folder_of_a_run(
    root: Path, name: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "out/mine").mkdir()
    os.mkfifo(root / "out/mine" / name)
    monkeypatch.setattr(sys, "argv", ["train_gpnerf.py", *flags(root, "--expname", "mine")])
    with bounded(more=2**33):
        assert f"out/mine/{name}: expected a regular file" in error_of(train_gpnerf.main, capsys)


@pytest.mark.parametrize("length", [300, 5000])
def test_names_beyond_the_file_systems_limits(tmp_path: Path, length: int) -> None:
    name = str(tmp_path / ("x" * length))
    assert_refused(lambda: parse(["--config", name]))
    assert_refused(lambda: load_protocol(name, "rooms", CONFIGS))
    assert_refused(lambda: decode_colour(Path(name)))
    config = parse(flags(tmp_path, "--val_set_list", name))
    assert_refused(lambda: scene_names(config, protocol_of("rooms", (24, 32)), "evaluation"))
