"""Procedural rooms on disk: both layouts, the label table and the script that writes them."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rooms_helper import HEIGHT, SCANNET, WIDTH, covisible, room

from gpnerf.data.procedural.categories import categories, label_table
from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.rooms import render_frame, room_path, write_room
from gpnerf.errors import UserError

REPLICA = {3, 7, 8, *range(10, 21), 22, 23, 26, 29, 31, 34, 35, 37, 40, 44, 47, 52, 54, 56, *range(59, 66), 70, 71, 76}
REPLICA |= {78, 79, 80, 82, 83, 87, 88, 91, 92, 93, 95, 97, 98}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    for seed in (2, 4):
        write_room(folder / f"room_{seed}", seed, "scannet", 12, WIDTH, HEIGHT)
    return folder


@pytest.mark.parametrize("seed", [2, 4])
def test_views_agree_with_each_other(written: Path, seed: int) -> None:
    """Frame A reprojected into B with the files on disk: colour and label agree on 97% of the co-visible pixels."""
    folder = written / f"room_{seed}"
    poses = np.stack([np.loadtxt(folder / "pose" / f"{k}.txt") for k in range(12)])
    matrix = np.loadtxt(folder / "intrinsic" / "intrinsic_depth.txt")[:3, :3]
    color = [cv2.imread(str(folder / "color" / f"{k}.jpg")) / 255.0 for k in range(12)]
    depth = [cv2.imread(str(folder / "depth" / f"{k}.png"), -1) / 1000.0 for k in range(12)]
    label = [cv2.imread(str(folder / "label-filt" / f"{k}.png"), -1) for k in range(12)]
    agreed, total = 0, 0
    for a, b in [(0, 2), (3, 6), (5, 9), (8, 10), (11, 8), (1, 0)]:
        seen, at = covisible(depth[a], poses[a], depth[b], poses[b], matrix)
        close = np.abs(color[a].reshape(-1, 3) - color[b][at]).max(1) <= 0.08
        agreed += (seen & close & (label[a].ravel() == label[b][at])).sum()
        total += seen.sum()
    assert total > 6 * 0.5 * WIDTH * HEIGHT
    assert agreed / total >= 0.97


def test_the_same_seed_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_room(tmp_path / "room_4", 4, "scannet", 12, WIDTH, HEIGHT)
    first, again, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (written / "room_4", tmp_path / "room_4", written / "room_2")
    )
    assert len(first) == 12 * 5 + 4 + 1
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[path] != other[path] for path in first if path.parts[0] in {"color", "depth", "pose"})


def test_scannet_files(written: Path) -> None:
    folder = written / "room_4"
    matrix = camera_intrinsics("scannet", WIDTH, HEIGHT)
    poses = room_path(room(4), 4, 12, matrix, HEIGHT, WIDTH)
    frame = render_frame(room(4), poses[7], matrix, HEIGHT, WIDTH)
    depth, label, instance = (
        cv2.imread(str(folder / n / "7.png"), -1) for n in ("depth", "label-filt", "instance-filt")
    )
    assert (depth.dtype, label.dtype, instance.dtype) == (np.uint16, np.uint16, np.uint8)
    np.testing.assert_allclose(depth / 1000, frame.depth, atol=6e-4)
    assert (label == frame.labels).all() and (instance == frame.instances).all()
    color = cv2.imread(str(folder / "color" / "7.jpg"))[..., ::-1].astype(float)
    assert np.sqrt(((color - frame.rgb) ** 2).mean()) < 2.5
    np.testing.assert_allclose(np.loadtxt(folder / "pose" / "7.txt"), poses[7], atol=1e-7)
    building = {categories()[name].raw_id for name in ("wall", "floor", "ceiling")}
    assert ((instance == 0) == np.isin(label, list(building))).all()
    for a in np.unique(instance[instance > 0]):
        assert len(np.unique(label[instance == a])) == 1
    assert {p.name for p in written.iterdir()} == {"room_2", "room_4"}


def test_replica_files(tmp_path: Path) -> None:
    stale = tmp_path / ".room_0000.partial" / "Sequence_1" / "rgb"
    stale.mkdir(parents=True)
    write_room(tmp_path / "room_0000", 0, "replica", 4, 80, 60)
    sequence = tmp_path / "room_0000" / "Sequence_1"
    poses = np.loadtxt(sequence / "traj_w_c.txt").reshape(-1, 4, 4)
    matrix = np.array([[40, 0, 39.5], [0, 40, 29.5], [0, 0, 1.0]])  # 640x480: 320, 319.5, 239.5, scaled by 1/8
    for k, pose in enumerate(poses):
        frame = render_frame(room(0), pose, matrix, 60, 80)
        depth = cv2.imread(str(sequence / "depth" / f"depth_{k}.png"), -1)
        assert (np.abs(depth / 1000 - frame.depth) < 2e-3).mean() > 0.995
        assert (
            np.abs(cv2.imread(str(sequence / "rgb" / f"rgb_{k}.png"))[..., ::-1].astype(int) - frame.rgb).mean() < 0.5
        )
        ids = cv2.imread(str(sequence / "semantic_class" / f"semantic_class_{k}.png"), -1)
        known = np.array([0] + [c.replica_id for c in categories().values()])[frame.labels]
        assert (ids == known).mean() > 0.995 and set(np.unique(ids)) <= REPLICA | {0}
    assert len(poses) == 4 and len(list((sequence / "semantic_instance").iterdir())) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["room_0000"]


def test_label_table_names_every_id() -> None:
    header, *rows = [line.split("\t") for line in label_table().splitlines()]
    assert header[0] == "id" and {"raw_category", "nyu40id"} <= set(header)
    table = {int(row[0]): int(row[header.index("nyu40id")]) for row in rows}
    assert len(table) == len(rows) == len(categories())
    assert set(table.values()) > SCANNET  # all of the 20 classes, and some that are ignored
    assert {c.replica_id for c in categories().values()} <= REPLICA | {0}


def test_an_unknown_layout_and_an_existing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="scannet, replica"):
        write_room(tmp_path / "a", 0, "matterport", 2, 40, 32)
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="b: "):
        write_room(tmp_path / "b", 0, "scannet", 2, 40, 32)


def test_script_writes_each_room_once(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "scripts" / "make_rooms.py"
    options = ["--frames", "2", "--width", "40", "--height", "32", "--workers", "2", "--first", "4", "--rooms", "2"]

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, script, "--out", tmp_path, *arguments], capture_output=True, text=True)

    assert run(*options).returncode == 0
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}
    assert {p.name for p in tmp_path.iterdir()} == {"room_0004", "room_0005", "scannetv2-labels.combined.tsv"}
    assert "2 were there" in run(*options).stdout
    assert stamps == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}
    assert "--frames" in run("--frames", "0").stderr
    other = run(*options, "--frames", "3").stderr
    assert other.startswith(f"error: {tmp_path}/room_000") and "'frames': 3" in other and other.count("\n") == 1
    for path in tmp_path.glob("*/room.json"):  # as of an earlier version
        path.unlink()
    assert "2 were there" in run(*options, "--frames", "3").stdout
    refused = run("--layout", "replica", "--width", "100", "--height", "100")
    assert refused.returncode == 2 and refused.stderr.startswith("error: --width") and refused.stderr.count("\n") == 1
