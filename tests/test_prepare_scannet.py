"""From a ScanNet download, made of rooms, to scenes: exact, resumable, and one bad scan stops no other."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from sens_writer import COLOUR, DEPTH, FRAMES, Shot, intrinsics, pixels_of, png, shots, write_archive, write_scan
from tiny_runs import REPOSITORY

from gpnerf.data.labels import LABEL_TABLE, LabelMap, scannet_labels
from gpnerf.data.procedural.categories import label_table
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError
from gpnerf.preparation.batch import prepare_scenes
from gpnerf.preparation.scannet import ScanOptions, prepare_scan
from gpnerf.preparation.scans import find_scans

NAME = "scene0000_00"
SMALL = (24, 30)  # height, width: smaller than depth, which is smaller than colour


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="module")
def label_map(tmp_path_factory: pytest.TempPathFactory) -> LabelMap:
    path = tmp_path_factory.mktemp("table") / LABEL_TABLE
    path.write_text(label_table())
    return scannet_labels(path)


def prepare(scan: Path, out: Path, **options: object) -> dict[str, object]:
    return dict(prepare_scan(scan, out, ScanOptions(**options), Event()))


def opened(folder: Path, size: tuple[int, int], label_map: LabelMap) -> Scene:
    return scannet_scene(folder, name=NAME, height=size[0], width=size[1], label_map=label_map, cache=FrameCache(0))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_depth_poses_and_maps_come_out_exactly_and_colour_is_copied(scan: Path, tmp_path: Path) -> None:
    cells = prepare(scan, tmp_path)
    folder = tmp_path / NAME
    for number, shot in enumerate(shots()):
        assert np.array_equal(np.loadtxt(folder / "pose" / f"{number}.txt").astype(np.float32), shot.pose)
        assert (folder / "color" / f"{number}.jpg").read_bytes() == shot.jpeg
        for part, values in (("depth", shot.depth), ("label-filt", shot.labels), ("instance-filt", shot.instances)):
            read = iio.imread(folder / part / f"{number}.png")
            assert read.dtype == values.dtype and np.array_equal(read, values)
    for sensor, size in (("color", COLOUR), ("depth", DEPTH)):
        written = np.loadtxt(folder / "intrinsic" / f"intrinsic_{sensor}.txt")
        assert np.array_equal(written.astype(np.float32), intrinsics(size))
        assert np.array_equal(np.loadtxt(folder / "intrinsic" / f"extrinsic_{sensor}.txt"), np.eye(4))
    assert [cells[part] for part in ("color", "depth", "pose", "label-filt", "instance-filt")] == [FRAMES] * 5
    assert (cells["without pose"], cells["pixels"]) == (0, "80x64")


def test_a_scene_shrunk_on_disk_is_the_scene_shrunk_when_read(scan: Path, tmp_path: Path, label_map: LabelMap) -> None:
    prepare(scan, tmp_path / "full")
    cells = prepare(scan, tmp_path / "small", size=SMALL)
    full, small = (opened(tmp_path / kind / NAME, SMALL, label_map) for kind in ("full", "small"))
    assert cells["pixels"] == "30x24" and small.file_size == SMALL
    assert iio.imread(tmp_path / "small" / NAME / "depth/0.png").shape == SMALL
    assert torch.allclose(small.cameras([0]).intrinsics, full.cameras([0]).intrinsics, rtol=1e-6)
    for index in range(FRAMES):
        for values in ("depth", "labels", "instances"):
            assert torch.equal(getattr(small, values)(index), getattr(full, values)(index)), values
        # The room's own files are JPEG of quality 98 too, which keeps colour within a few levels.
        assert (small.image(index) - full.image(index)).abs().mean() < 1.5 / 255
    ratio = np.loadtxt(tmp_path / "small" / NAME / "intrinsic/intrinsic_depth.txt")[0, 0] / intrinsics(DEPTH)[0, 0]
    assert ratio == pytest.approx(30 / 40)


def test_maps_smaller_than_the_wanted_size_stay(scan: Path, tmp_path: Path) -> None:
    prepare(scan, tmp_path, size=(48, 60), maps=())
    assert np.array_equal(iio.imread(tmp_path / NAME / "depth/1.png"), shots()[1].depth)
    assert iio.imread(tmp_path / NAME / "color/1.jpg").shape == (48, 60, 3)
    written = np.loadtxt(tmp_path / NAME / "intrinsic/intrinsic_depth.txt")
    assert np.array_equal(written.astype(np.float32), intrinsics(DEPTH))


@pytest.mark.parametrize("size", [(65, 80), (64, 81), (10, 100)])
def test_pictures_are_not_enlarged(scan: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="at most its colour's 80x64"):
        prepare(scan, tmp_path, size=size)


def lost(shot: Shot, value: float) -> Shot:
    return replace(shot, pose=np.full((4, 4), value, np.float32))


def test_every_nth_frame_keeps_its_number_and_lost_ones_are_left_out(tmp_path: Path) -> None:
    frames = list(shots())
    for number, value in ((1, np.nan), (2, -np.inf), (4, 0.0)):
        frames[number] = lost(frames[number], value)
    scan = write_scan(tmp_path / "scans", frames=frames)
    cells = prepare(scan, tmp_path / "out", stride=2)
    names = sorted(path.name for path in (tmp_path / "out" / NAME).rglob("[0-9]*.*"))
    assert names == sorted(["0.jpg", "0.txt", "2.txt", "4.txt", *["0.png"] * 3])
    assert (cells["color"], cells["without pose"]) == (1, 2)
    assert (tmp_path / "out" / NAME / "color/0.jpg").read_bytes() == shots()[0].jpeg


def test_a_frame_that_the_recorder_lost_keeps_its_place_in_the_scene(tmp_path: Path, label_map: LabelMap) -> None:
    frames = [*shots()[:2], lost(shots()[2], -np.inf), shots()[3], replace(shots()[4], jpeg=b""), shots()[5]]
    prepare(write_scan(tmp_path / "scans", frames=frames), tmp_path / "out")
    scene = opened(tmp_path / "out" / NAME, COLOUR, label_map)
    assert scene.numbers.tolist() == [0, 1, 3, 5] and scene.places.tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize("codes", [(0, 1), (1, 1), (2, 0)])
@pytest.mark.parametrize("size", [None, SMALL])
def test_every_code_of_colour_and_depth_gives_the_same_scene(
    scan: Path, tmp_path: Path, label_map: LabelMap, codes: tuple[int, int], size: tuple[int, int] | None
) -> None:
    other = write_scan(tmp_path / "scans", frames=shots()[:3], codes=codes)
    prepare(other, tmp_path / "out", size=size)
    prepare(write_scan(tmp_path / "jpeg", frames=shots()[:3]), tmp_path / "same", size=size)
    scene, expected = (opened(tmp_path / kind / NAME, size or COLOUR, label_map) for kind in ("out", "same"))
    for index in range(3):
        assert torch.equal(scene.depth(index), expected.depth(index))
        # Only a shrunk JPEG is coded anew.
        assert (scene.image(index) - expected.image(index)).abs().max() < (8 / 255 if size else 1e-6)


def test_frames_without_depth_and_grey_colour_are_read(tmp_path: Path, label_map: LabelMap) -> None:
    grey = cv2.imencode(".jpg", pixels_of(shots()[1])[..., 1])[1].tobytes()
    frames = [shots()[0], replace(shots()[1], jpeg=grey), replace(shots()[2], depth=np.zeros((0, 0), np.uint16))]
    cells = prepare(write_scan(tmp_path / "scans", frames=frames), tmp_path / "out", size=SMALL)
    assert (cells["color"], cells["depth"]) == (3, 2)
    scene = opened(tmp_path / "out" / NAME, SMALL, label_map)
    assert scene.depth(2) is None and torch.allclose(scene.image(1)[0], scene.image(1)[2], atol=2 / 255)


def test_a_recording_without_any_colour_is_refused(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scans", frames=[replace(shot, jpeg=b"") for shot in shots()])
    with pytest.raises(UserError, match="expected colour, found none in all 6 posed frames"):
        prepare(scan, tmp_path / "out")


@pytest.mark.parametrize("maps", ["labels", "instances"])
def test_a_missing_archive_comes_with_the_flag_that_does_without(tmp_path: Path, maps: str) -> None:
    scan = write_scan(tmp_path / "scans", frames=shots()[:2])
    (scan / f"{NAME}_2d-{maps[:-1]}-filt.zip").unlink()
    with pytest.raises(UserError, match=rf"filt\.zip: expected the archive of {maps}.*--without {maps}"):
        prepare(scan, tmp_path / "out")


def test_a_recording_without_any_pose_is_refused(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scans", frames=[lost(shot, np.nan) for shot in shots()])
    with pytest.raises(UserError, match="expected poses, found inf, NaN or zeros in all 6"):
        prepare(scan, tmp_path / "out")


def test_frames_without_a_label_are_counted(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scans")
    archive = scan / f"{NAME}_2d-label-filt.zip"
    write_archive(archive, [(f"label-filt/{k}.png", png(shots()[0].labels)) for k in (0, 3, 17)])
    assert prepare(scan, tmp_path / "out")["label-filt"] == 2
    with pytest.raises(UserError, match=r"found options.*remove the folder"):
        prepare(scan, tmp_path / "out", maps=())


def test_a_complete_scene_is_kept_and_an_unfinished_one_redone(scan: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / f".{NAME}.partial" / "color"
    unfinished.mkdir(parents=True)
    (unfinished / "999.jpg").write_bytes(b"half")
    assert prepare(scan, tmp_path)["state"] == "written"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    before = contents(tmp_path)
    assert "color/999.jpg" not in before
    assert prepare(scan, tmp_path)["state"] == "was there"
    assert contents(tmp_path) == before
    recording = scan / f"{NAME}.sens"
    whole = recording.read_bytes()
    recording.write_bytes(whole + b"more")  # another download than before
    with pytest.raises(UserError, match=rf"made from {NAME}.sens of {len(whole)} bytes where .*remove the folder"):
        prepare(scan, tmp_path)
    recording.unlink()  # nobody keeps them all
    assert prepare(scan, tmp_path)["state"] == "was there"
    recording.write_bytes(whole)
    (tmp_path / NAME / "depth/2.png").unlink()
    with pytest.raises(UserError, match=r"found files .*'depth': 6.* where .*'depth': 5.*remove the folder"):
        prepare(scan, tmp_path)


@pytest.mark.parametrize("record", [None, "", "[]", "{}", '{"without_pose": "x", "pixels": 1}', "[" * 9999])
def test_a_folder_of_another_program_is_left_alone(scan: Path, tmp_path: Path, record: str | None) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "mine.txt").write_text("mine")
    if record is not None:
        (tmp_path / NAME / "prepared.json").write_text(record)
    before = contents(tmp_path)
    with pytest.raises(UserError, match="found no record of it"):
        prepare(scan, tmp_path)
    assert contents(tmp_path) == before


def test_told_to_stop_it_ends_and_leaves_nothing_half_written(scan: Path, tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        prepare_scan(scan, tmp_path, ScanOptions(), stop)
    assert list(tmp_path.iterdir()) == []


def test_scenes_side_by_side_equal_one_after_another(tmp_path: Path) -> None:
    for number in range(5):
        write_scan(tmp_path / "scans", f"scene000{number}_00", shots(0)[number:])
    names = find_scans(tmp_path / "scans", None)
    for jobs in (1, 4):
        work = partial(_prepare_by_name, tmp_path / "scans", tmp_path / f"jobs{jobs}")
        done, faults = prepare_scenes(names, work, jobs)
        assert list(done) == names and not faults
    assert contents(tmp_path / "jobs1") == contents(tmp_path / "jobs4")


def _prepare_by_name(scans: Path, out: Path, name: str, stop: Event) -> dict[str, object]:
    return dict(prepare_scan(scans / name, out, ScanOptions(), stop))


@pytest.mark.parametrize("name", ["../scene0000_00", "/etc", "a/b", "..", ".hidden"])
def test_a_scene_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="expected the name of a scan"):
        find_scans(tmp_path, [name])


def command(scans: Path, out: Path, *flags: str) -> list[str]:
    script = str(REPOSITORY / "scripts/prepare_scannet.py")
    return [sys.executable, script, "--scans", str(scans), "--out", str(out), *flags]


def test_the_script_prepares_what_it_can_and_its_exit_code_tells(tmp_path: Path) -> None:
    scans, out = tmp_path / "download" / "scans", tmp_path / "scannet"
    for name in ("scene0000_00", "scene0001_00", "scene0002_00"):
        write_scan(scans, name, shots()[:2])
    (scans.parent / LABEL_TABLE).write_text(label_table())
    broken = scans / "scene0001_00/scene0001_00.sens"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-100])
    first = subprocess.run(command(scans, out), capture_output=True, text=True, check=False)
    assert first.returncode == 2
    assert [line.split("|")[1].strip() for line in first.stdout.splitlines()[2:4]] == ["scene0000_00", "scene0002_00"]
    assert "failed: scene0001_00" in first.stdout and "error: 1 of 3 scenes failed (scene0001_00)" in first.stderr
    assert (out / LABEL_TABLE).read_text() == label_table()
    broken.write_bytes(whole)
    second = subprocess.run(command(scans, out, "--jobs", "1"), capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout.count("was there"), second.stdout.count("written")) == (0, 2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_kill_the_same_command_completes_the_scene(tmp_path: Path, number: signal.Signals) -> None:
    scans, out = tmp_path / "scans", tmp_path / "scannet"
    write_scan(scans, frames=[shots()[0]] * 800)
    with subprocess.Popen(command(scans, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not list(out.glob(".*.partial/color/*.jpg")) and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, number)
        code = process.wait(20)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    assert not (out / NAME).exists()
    assert bool(list(out.glob(".*.partial"))) == (number == signal.SIGKILL)
    subprocess.run(command(scans, out), check=True, capture_output=True)
    assert len(list((out / NAME / "color").iterdir())) == 800
    assert [path.name for path in out.iterdir()] == [NAME]
