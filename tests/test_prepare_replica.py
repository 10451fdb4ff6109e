"""Replica as downloaded, made of rooms, put in its place: found however nested, checked, and nothing else touched."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest
from rooms_helper import room, walk
from tiny_runs import REPOSITORY

from gpnerf.data.procedural.disk import camera_intrinsics, write_replica
from gpnerf.data.replica import replica_scene
from gpnerf.data.rooms import render_frame
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError
from gpnerf.preparation.downloads import find_sequences
from gpnerf.preparation.replica import PUBLICATIONS, Arrangement

FRAMES, HEIGHT, WIDTH = 3, 24, 32
PLACE = "office_0/Sequence_1"


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, matrix = tmp_path_factory.mktemp("room"), camera_intrinsics("replica", WIDTH, HEIGHT)
    poses = walk(0)[:FRAMES]
    write_replica(folder, (render_frame(room(0), pose, matrix, HEIGHT, WIDTH) for pose in poses), poses)
    return folder / "Sequence_1"


def put(sequence: Path, *places: Path) -> None:
    for place in places:
        shutil.copytree(sequence, place)


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arrange(download: Path, out: Path, name: str = "semantic_nerf", place: str = PLACE, copy: bool = False) -> dict:
    publication = PUBLICATIONS[name]
    found = find_sequences(download, publication.sequences != ("",))
    return dict(Arrangement(publication, out, found, copy).prepare(place, Event()))


def test_sequences_are_found_however_they_are_nested(sequence: Path, tmp_path: Path) -> None:
    download = tmp_path / "dl"
    put(sequence, download / "Replica_Dataset/office_0/Sequence_1", download / "Replica_Dataset/office_0/Sequence_2")
    put(sequence, download / "elsewhere/Room1", tmp_path / "loose/Sequence_2", tmp_path / "whole/office_3/Sequence_1")
    zipped(tmp_path / "loose", download / "room_2.zip")
    zipped(tmp_path / "whole", download / "more.ZIP")
    put(sequence, download / "notes")  # of no scene that is known
    found = find_sequences(download, with_sequences=True)
    expected = ["office_0/Sequence_1", "office_0/Sequence_2", "office_3/Sequence_1", "room_1/Sequence_1"]
    assert sorted(found) == [*expected, "room_2/Sequence_2"]
    assert sorted(find_sequences(download, with_sequences=False)) == ["office_0", "office_3", "room_1"]
    assert list(find_sequences(download / "elsewhere/Room1", with_sequences=False)) == ["room_1"]
    put(sequence, download / "again/office0/sequence1")
    with pytest.raises(UserError, match="expected office_0/Sequence_1 once"):
        find_sequences(download, with_sequences=True)


def test_linked_copied_and_unpacked_are_the_same_scene(sequence: Path, tmp_path: Path) -> None:
    put(sequence, tmp_path / "dl/office_0/Sequence_1")
    (tmp_path / "dl/office_0/Sequence_1/thumbs.db").write_bytes(b"stray")
    archive = zipped(tmp_path / "dl", tmp_path / "replica.zip")
    states = [
        arrange(tmp_path / "dl", tmp_path / "linked")["state"],
        arrange(tmp_path / "dl", tmp_path / "copied", copy=True)["state"],
        arrange(archive, tmp_path / "unpacked")["state"],
    ]
    assert states == ["linked", "copied", "unpacked"]
    assert contents(tmp_path / "unpacked" / PLACE) == contents(sequence)
    assert (tmp_path / "linked" / PLACE).is_symlink() and not (tmp_path / "copied" / PLACE).is_symlink()
    for state in states:
        folder = tmp_path / state / PLACE
        scene = replica_scene(folder, name="x", height=24, width=32, label_map=None, cache=FrameCache(0))
        assert np.allclose(scene.cam_to_world, walk(0)[:FRAMES], atol=1e-7)
        assert [path.name for path in folder.parent.iterdir()] == ["Sequence_1"]
        assert arrange(tmp_path / "dl", tmp_path / state)["state"] == "was there"


def test_dm_nerf_has_scenes_without_sequences(sequence: Path, tmp_path: Path) -> None:
    put(sequence, tmp_path / "dl/office_0", tmp_path / "dl/room_0")
    shutil.rmtree(tmp_path / "dl/office_0/semantic_class")
    shutil.rmtree(tmp_path / "dl/room_0/semantic_instance")
    cells = arrange(tmp_path / "dl", tmp_path / "out", "dm_nerf", "office_0")
    assert (cells["rgb"], cells["semantic_class"], cells["semantic_instance"]) == (FRAMES, 0, FRAMES)
    assert (cells["pixels"], cells["state"]) == ("32x24", "linked")
    with pytest.raises(UserError, match=r"semantic_instance_N.png for each of 3 frames, found 0.*vLAR-group/DM-NeRF"):
        arrange(tmp_path / "dl", tmp_path / "out", "dm_nerf", "room_0")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["office_0"]


def edit_line(path: Path, number: int, change: Callable[[list[str]], list[str]]) -> None:
    lines = path.read_text().splitlines()
    lines[number] = " ".join(change(lines[number].split()))
    path.write_text("\n".join(lines) + "\n")


def resize(path: Path, width: int, height: int) -> None:
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), (width, height)))


def one_more_pose(folder: Path) -> None:
    path = folder / "traj_w_c.txt"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")


FAULTS: list[tuple[Callable[[Path], object], list[str]]] = [
    (lambda folder: (folder / "rgb/rgb_1.png").unlink(), ["a pose for each picture, found 3 for 2"]),
    (one_more_pose, ["a pose for each picture, found 4 for 3"]),
    (lambda folder: (folder / "traj_w_c.txt").write_bytes(b"\xff\xfe"), ["traj_w_c.txt", "not UTF-8"]),
    (lambda folder: (folder / "depth/depth_2.png").unlink(), ["depth_N.png for each of 3 frames, found 2"]),
    (lambda folder: shutil.rmtree(folder / "semantic_class"), ["semantic_class_N.png", "found 0", "semantic_nerf"]),
    (lambda folder: resize(folder / "depth/depth_1.png", 16, 12), ["depth_1.png", "expected 32x24", "found 16x12"]),
    (lambda folder: [resize(path, 32, 32) for path in folder.rglob("*.png")], ["pictures of 4:3", "found 32x32"]),
    (lambda folder: (folder / "semantic_class/semantic_class_0.png").write_bytes(b"x"), ["semantic_class_0.png"]),
    (
        lambda folder: edit_line(folder / "traj_w_c.txt", 1, lambda words: ["2.0", *words[1:]]),
        ["traj_w_c.txt, line 2", "expected a camera-to-world pose", "axes of length"],
    ),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
@pytest.mark.parametrize("packed", [False, True])
def test_a_faulty_sequence_is_named_and_not_put_in_place(
    sequence: Path, tmp_path: Path, number: int, packed: bool
) -> None:
    change, words = FAULTS[number]
    download = tmp_path / "dl"
    put(sequence, download / PLACE)
    change(download / PLACE)
    if packed:
        download = zipped(download, tmp_path / "replica.zip")
    with pytest.raises(UserError) as caught:
        arrange(download, tmp_path / "out")
    message = str(caught.value)
    assert all(word in message for word in words) and "\n" not in message, message
    assert contents(tmp_path / "out") == {} and not (tmp_path / "out" / PLACE).exists()
    assert contents(tmp_path / "dl")  # removing what was linked must not touch the download


def test_what_an_earlier_run_left_half_done_is_redone(sequence: Path, tmp_path: Path) -> None:
    put(sequence, tmp_path / "dl" / PLACE)
    partial = tmp_path / "out/office_0/.Sequence_1.partial"
    partial.mkdir(parents=True)
    (partial / "half.png").write_bytes(b"")
    assert arrange(tmp_path / "dl", tmp_path / "out", copy=True)["state"] == "copied"
    assert contents(tmp_path / "out" / PLACE) == contents(sequence)
    assert not partial.exists()


def test_the_script_says_what_is_missing_and_where_it_is_published(sequence: Path, tmp_path: Path) -> None:
    put(sequence, tmp_path / "dl" / PLACE)
    split = tmp_path / "split.txt"
    split.write_text("replica/office_0\nroom_1/Sequence_2\n")
    script = [sys.executable, str(REPOSITORY / "scripts/prepare_replica.py"), "--out", str(tmp_path / "out")]
    script += ["--download", str(tmp_path / "dl"), "--scenes", str(split)]
    first = subprocess.run(script, capture_output=True, text=True, check=False)
    assert first.returncode == 2
    assert "error: 2 of 3 scenes failed (office_0/Sequence_2, room_1/Sequence_2)" in first.stderr
    missing = [line for line in first.stdout.splitlines() if line.startswith("failed: ")]
    assert len(missing) == 2 and all("github.com/Harry-Zhi/semantic_nerf" in line for line in missing)
    put(sequence, tmp_path / "dl/office_0/Sequence_2", tmp_path / "out/room_1/Sequence_2")
    second = subprocess.run(script, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("was there") == 2 and second.stdout.count("linked") == 1
