"""Packed frames are never those of other pictures, nor damaged ones."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from packed_scenes import FRAMES, assert_same_frames, opened, packed, protocol_of, room

from gpnerf.data.catalogue import scene_folder
from gpnerf.data.packed_files import packed_path


def other_bytes(folder: Path) -> None:
    """Another picture of the same size in bytes, under the same name."""
    path = folder / "depth/3.png"
    before = path.stat()
    content = bytearray(iio.imread(path).tobytes())
    content[:200] = content[:200][::-1]
    changed = np.frombuffer(bytes(content), np.uint16).reshape(iio.imread(path).shape)
    iio.imwrite(path, changed)
    padding = before.st_size - path.stat().st_size
    path.write_bytes(path.read_bytes() + b"\0" * max(padding, 0))


def touched(folder: Path) -> None:
    os.utime(folder / "color/3.jpg")


def frame_lost(folder: Path) -> None:
    (folder / "label-filt/3.png").unlink()


def frame_gained(folder: Path) -> None:
    for part, suffix in (("color", "jpg"), ("pose", "txt"), ("depth", "png"), ("label-filt", "png")):
        shutil.copy(folder / part / f"3.{suffix}", folder / part / f"{FRAMES}.{suffix}")


def replaced(folder: Path) -> None:
    """Another picture with the time of the one before, as a copy that keeps times would be."""
    path = folder / "color/3.jpg"
    before = path.stat()
    shutil.copy(folder / "color/5.jpg", path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(folder: Path) -> None:
    path = folder / "packed/32x24.npy"
    path.write_bytes(path.read_bytes()[:-1])


def described_otherwise(folder: Path) -> None:
    about = folder / "packed/32x24.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"opencv": "0.0"}))


def described_badly(folder: Path) -> None:
    (folder / "packed/32x24.json").write_text("[")


def description_lost(folder: Path) -> None:
    (folder / "packed/32x24.json").unlink()


CHANGES = [other_bytes, touched, frame_lost, frame_gained, replaced, cut, described_otherwise, described_badly]


@pytest.mark.parametrize("change", [*CHANGES, description_lost])
def test_after_a_change_the_pictures_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None]
) -> None:
    name, protocol = room(tmp_path), protocol_of("rooms", (24, 32))
    folder = tmp_path / "data/rooms" / name
    assert packed(tmp_path, name, protocol).packed is not None
    change(folder)
    scene = opened(tmp_path, name, protocol)
    assert scene.packed is None
    warned = [record.message for record in caplog.records if "the pictures are read" in record.message]
    assert len(warned) == (change is not description_lost) and all("\n" not in line for line in warned)
    shutil.rmtree(folder / "packed")
    assert_same_frames(scene, opened(tmp_path, name, protocol))


def test_a_damaged_frame_is_read_from_its_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name, protocol = room(tmp_path), protocol_of("rooms", (24, 32))
    scene = packed(tmp_path, name, protocol)
    path = packed_path(scene, scene_folder(tmp_path, "rooms", name))
    records = np.load(path, mmap_mode="r+")
    records["colour"][4, 1, 2, 3] += 1
    records["depth"][6, 5, 5] ^= 1
    records.flush()
    again = opened(tmp_path, name, protocol)
    plain = replace(again, packed=None)
    for _ in range(2):
        assert_same_frames(again, plain)
    assert [record.message.split(": ")[1] for record in caplog.records] == [
        "colour of record 4 is damaged"  # and the other one as well, without another line
    ]
