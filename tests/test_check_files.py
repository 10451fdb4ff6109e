"""Broken, missing and odd files are found and named, and the check goes on."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from spoilt_rooms import FRAMES, TABLE, change_poses, check, copy_room, mistakes

from gpnerf.checking.census import take_census
from gpnerf.checking.contents import class_shares, depth_range, strange_ids
from gpnerf.checking.layouts import record_scannet
from gpnerf.checking.scene_check import SceneReport


def remarks(report: SceneReport) -> list[str]:
    return [finding.text for finding in report.findings if not finding.is_mistake]


def repaint(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def test_census_agrees_with_a_plain_count(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    recording = record_scannet(room, "room")
    census = take_census(recording)
    depth = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (room / "depth").iterdir()])
    found = depth_range(census["depth"].values, recording.depth_unit)
    assert found is not None
    known = depth[depth > 0] / 1000
    assert (found.least, found.largest) == (known.min(), known.max())
    assert found.median == pytest.approx(np.median(known), abs=1e-3)
    assert found.holes == (depth == 0).mean()
    rows = (line.split("\t") for line in (room.parent / TABLE).read_text().splitlines()[1:])
    nyu40 = {int(row[0]): row[4] for row in rows}
    raw = np.concatenate([cv2.imread(str(p), cv2.IMREAD_UNCHANGED).ravel() for p in (room / "label-filt").iterdir()])
    names = Counter(nyu40[raw_id] for raw_id in raw.tolist())
    shares = class_shares(recording, census["labels"].values)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1)
    for name, share in shares.items():
        assert name == "ignored" or share == pytest.approx(names[name] / len(raw))
    assert all(part.size == (128, 160) and len(part.sizes) == FRAMES for part in census.values())


@pytest.mark.parametrize("part", ["color/3.jpg", "depth/3.png", "label-filt/3.png", "pose/3.txt"])
@pytest.mark.parametrize("how", ["cut", "rubbish"])
def test_a_broken_file_is_named_and_the_rest_checked(tmp_path: Path, part: str, how: str) -> None:
    room = copy_room(tmp_path)
    content = (room / part).read_bytes()
    (room / part).write_bytes(content[: len(content) // 2] if how == "cut" else b"\x00rubbish\xff")
    report = check(room)
    (found,) = mistakes(report)
    assert found.startswith(str(room / part))
    assert report.cameras is not None and len(report.cameras.pairs) >= 3


def test_a_scene_without_colour_is_a_mistake(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    shutil.rmtree(room / "color")
    report = check(room)
    (found,) = mistakes(report)
    assert str(room / "color") in found and report.cameras is None


def test_many_broken_files_are_counted(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    for path in (room / "pose").iterdir():
        path.write_text("no numbers")
    found = mistakes(check(room))
    assert len(found) == 6 and found[-1] == f"{FRAMES - 5} more files of this kind could not be read"


def test_missing_files_are_remarks(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    (room / "depth/2.png").unlink()
    shutil.rmtree(room / "label-filt")
    report = check(room)
    assert report.is_clean
    assert remarks(report) == ["1 frames have no depth file: 2", "no label files"]


def test_missing_intrinsics(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    path = room / "intrinsic/intrinsic_color.txt"
    path.unlink()
    (found,) = mistakes(check(room))
    assert found.startswith(str(path))


def test_sizes_that_differ(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    repaint(room / "color/5.jpg", lambda image: image[:, :100])
    (found,) = mistakes(check(room))
    assert found == "colour: 1 files have another size than their camera: frames 5 (100x128, not 160x128)"
    again = copy_room(tmp_path / "again")
    repaint(again / "label-filt/5.png", lambda image: image[:, :100])
    repaint(again / "label-filt/6.png", lambda image: image[::2, ::2])  # the same view
    (found,) = mistakes(check(again))
    assert found == "labels: 1 files have another shape than their camera: frames 5 (100x128, not 160x128)"


def test_label_ids_outside_the_table(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    repaint(room / "label-filt/1.png", lambda raw: np.where(np.arange(160) < 2, 999, raw).astype(np.uint16))
    repaint(room / "label-filt/2.png", lambda raw: np.where(np.arange(160) < 1, 500, raw).astype(np.uint16))
    recording = record_scannet(room, "room")
    assert strange_ids(recording, take_census(recording)["labels"].values) == {999: 256, 500: 128}
    (found,) = mistakes(check(room))
    assert "2 ids are not in" in found and str(room.parent / TABLE) in found and "999 (256 pixels), 500 (128" in found


def test_a_missing_label_table(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    (room.parent / TABLE).unlink()
    report = check(room)
    (found,) = mistakes(report)
    assert found.startswith(str(room.parent / TABLE)) and report.cameras is not None


def test_no_depth_anywhere_and_wrong_units(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    for path in (room / "depth").iterdir():
        repaint(path, np.zeros_like)
    assert mistakes(check(room)) == ["depth: no pixel of any file has depth"]
    again = copy_room(tmp_path / "again")
    for path in (again / "depth").iterdir():
        repaint(path, lambda depth: (depth // 20).astype(np.uint16))
    report = check(again)
    assert any("are the files in millimetres" in text for text in remarks(report))
    (found,) = mistakes(report)
    assert float(found.split("multiply depth by ")[1].split(",")[0]) == pytest.approx(20, rel=0.05)


def test_poses_on_their_own(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    np.savetxt(room / "pose/4.txt", np.full((4, 4), np.nan))
    np.savetxt(room / "pose/6.txt", np.loadtxt(room / "pose/6.txt") @ np.diag([-1.0, 1, 1, 1]))
    shutil.copy(room / "pose/9.txt", room / "pose/10.txt")
    report = check(room)
    assert f"1 of {FRAMES} poses hold inf, NaN or zeros: frames 4; readers drop these frames" in remarks(report)
    assert f"2 of {FRAMES} frames share their pose with another: (9, 10)" in remarks(report)
    (crooked,) = mistakes(report)
    assert crooked == ("1 poses are no rotation and shift: frames 6; the first has a mirrored (left-handed) rotation")


def test_all_poses_equal_or_none_finite(tmp_path: Path) -> None:
    room = copy_room(tmp_path)
    change_poses(room, lambda pose: np.eye(4))
    assert any("share their pose" in text for text in mistakes(check(room)))
    change_poses(room, lambda pose: np.full((4, 4), np.inf))
    lost = f"{FRAMES} of {FRAMES} poses hold inf, NaN or zeros: frames 0, 1, 2, 3, 4 and 7 more"
    assert mistakes(check(room)) == [lost]
    change_poses(room, np.zeros_like)
    assert mistakes(check(room)) == [lost]


@pytest.mark.slow  # bakes another room
def test_replica_layout(tmp_path: Path) -> None:
    sequence = copy_room(tmp_path, "replica") / "Sequence_1"
    assert mistakes(check(sequence)) == []
    lines = (sequence / "traj_w_c.txt").read_text().splitlines()
    poses = np.array([line.split() for line in lines], float).reshape(-1, 4, 4)
    np.savetxt(sequence / "traj_w_c.txt", np.linalg.inv(poses).reshape(-1, 16))
    (found,) = mistakes(check(sequence))
    assert found.startswith("poses are world-to-camera, not camera-to-world")
    (sequence / "traj_w_c.txt").write_text("\n".join(lines[:-1]))
    (found,) = mistakes(check(sequence))
    assert f"line {FRAMES} (pose of frame {FRAMES - 1}): expected 16 numbers, found 0" in found
    (sequence / "traj_w_c.txt").unlink()
    (found,) = mistakes(check(sequence))
    assert str(sequence / "traj_w_c.txt") in found
