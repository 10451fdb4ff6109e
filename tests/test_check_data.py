"""scripts/check_data.py: which folders it takes for scenes, its report and its exit code."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from spoilt_rooms import change_poses, copy_room
from tiny_runs import REPOSITORY
from tiny_scenes import write_replica, write_scannet

from gpnerf.checking.folders import find_scenes
from gpnerf.errors import UserError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The script's exit code."""
    monkeypatch.setattr(sys, "argv", ["check_data.py", *map(str, arguments)])
    try:
        runpy.run_path(str(REPOSITORY / "scripts/check_data.py"), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_clean_and_spoilt_scenes_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = copy_room(tmp_path)
    shutil.copytree(right, right.with_name("room_0004"))
    change_poses(right.with_name("room_0004"), np.linalg.inv)
    out = tmp_path / "report"
    arguments = ("--out", out, "--pairs", 6)
    assert run(monkeypatch, right.parent, *arguments, "--scenes", "room_0003") == 0
    assert "room_0003: clean" in capsys.readouterr().out
    assert run(monkeypatch, right.parent, *arguments) == 1
    printed = capsys.readouterr().out
    assert "room_0003: clean" in printed and "room_0004: MISTAKES" in printed and "world-to-camera" in printed
    report = (out / "report.md").read_text()
    assert report.startswith("# Check of 2 scenes: 1 with mistakes")
    assert "**mistake**: poses are world-to-camera" in report.partition("## room_0004")[2]
    assert "mistake" not in report.partition("## room_0003")[2].partition("## room_0004")[0]
    pictures = re.findall(r"!\[\w+\]\(([^)]+)\)", report)
    assert len(pictures) == 6
    for name in pictures:
        picture = cv2.imread(str(out / name))
        assert picture is not None and picture.std() > 10
    titles = {name: cv2.imread(str(out / name)).shape[1] for name in pictures}
    assert titles["room_0004_epipolar.png"] > titles["room_0003_epipolar.png"]  # the corrected cameras beside
    assert not list(out.glob(".*")) + list(out.glob("*.tmp"))


def test_bad_arguments_end_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path / "nowhere") == 2
    assert "found no such folder" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path) == 2
    assert "expected scenes" in capsys.readouterr().err
    write_scannet(tmp_path / "scene0000_00", frames=2)
    assert run(monkeypatch, tmp_path, "--scenes", "scene0001_00") == 2
    assert "expected a scene scene0001_00, found none among 1" in capsys.readouterr().err


def test_finds_scenes_at_every_depth(tmp_path: Path) -> None:
    write_scannet(tmp_path / "data/scannet/scene0000_00", frames=2)
    write_scannet(tmp_path / "data/scannet/.half.partial", frames=2)
    write_replica(tmp_path / "data/Replica/office_0/Sequence_1", frames=2)
    write_replica(tmp_path / "data/Replica/office_0/Sequence_2", frames=2)
    write_replica(tmp_path / "data/Replica_DM/office_0", frames=2)

    def names(root: str, *chosen: str) -> list[str]:
        return [scene.name for scene in find_scenes(tmp_path / root, None, chosen)]

    sequences = ["Replica/office_0/Sequence_1", "Replica/office_0/Sequence_2"]
    assert names("data") == [*sequences, "Replica_DM/office_0", "scannet/scene0000_00"]
    assert names("data/scannet") == ["scene0000_00"]
    assert names("data/scannet/scene0000_00") == ["scene0000_00"]
    assert names("data", "office_0") == [*sequences, "Replica_DM/office_0"]
    assert names("data", "scene0000_00", "office_0/Sequence_2") == [sequences[1], "scannet/scene0000_00"]


def test_a_named_data_set_leaves_no_folder_out(tmp_path: Path) -> None:
    write_scannet(tmp_path / "scene0000_00", frames=2)
    (tmp_path / "scene0001_00/exported").mkdir(parents=True)
    assert [scene.name for scene in find_scenes(tmp_path)] == ["scene0000_00"]
    found = find_scenes(tmp_path, "scannet")
    assert [scene.name for scene in found] == ["scene0000_00", "scene0001_00"]
    with pytest.raises(UserError, match="scene0001_00/color"):
        found[1].read(found[1].path, found[1].name)
