"""Procedural rooms: exact, view-consistent, seeded, furnished like rooms, and written as the real data sets are."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpnerf.data.procedural.categories import categories, label_table
from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.procedural.light import blocked, occluders
from gpnerf.data.procedural.materials import Material
from gpnerf.data.procedural.shapes import Item, Shape, block
from gpnerf.data.procedural.solids import Solids, crossing, from_cube, onto_cube, pack
from gpnerf.data.rooms import Room, generate_room, render_frame, room_path, write_room
from gpnerf.errors import UserError

SEEDS = range(6)  # one room of each kind
SCANNET = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39}
REPLICA = {3, 7, 8, *range(10, 21), 22, 23, 26, 29, 31, 34, 35, 37, 40, 44, 47, 52, 54, 56, *range(59, 66), 70, 71, 76}
REPLICA |= {78, 79, 80, 82, 83, 87, 88, 91, 92, 93, 95, 97, 98}
GREY = Material("plain", (0.5, 0.5, 0.5), (0.6, 0.6, 0.6))
TARGETS = (4, 12, 20, 28, 36)
WIDTH, HEIGHT = 160, 128


@cache
def room(seed: int) -> Room:
    return generate_room(seed)


@cache
def walk(seed: int) -> np.ndarray:
    return room_path(room(seed), seed, 40, camera_intrinsics("scannet", WIDTH, HEIGHT), HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    for seed in (2, 3, 5):
        write_room(folder / f"room_{seed:04d}", seed, "scannet", 40, WIDTH, HEIGHT)
    return folder


def inside(solids: Solids, k: int, points: np.ndarray, slack: float = 0.0) -> np.ndarray:
    """Whether points lie in solid k shrunk by `slack` metres, from the definition of each shape."""
    local = np.abs((points - solids.centres[k]) @ solids.rotations[k]) / np.maximum(solids.halves[k] - slack, 1e-6)
    if solids.shapes[k] == Shape.BOX:
        return (local < 1).all(-1)
    if solids.shapes[k] == Shape.CYLINDER:
        return (np.hypot(local[..., 0], local[..., 1]) < 1) & (local[..., 2] < 1)
    return np.linalg.norm(local, axis=-1) < 1


def unproject(depth: np.ndarray, pose: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    rays = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones_like(depth)], -1)
    return (rays * depth[..., None]).reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3]


def covisible(depth_a, pose_a, depth_b, pose_b, matrix):
    """Mask over the pixels of A whose surface B sees too (depth within 2%), and where in B (nearest pixel)."""
    cam = (unproject(depth_a, pose_a, matrix) - pose_b[:3, 3]) @ pose_b[:3, :3]
    z = np.maximum(cam[:, 2], 1e-6)
    u = np.round(matrix[0, 0] * cam[:, 0] / z + matrix[0, 2]).astype(int)
    v = np.round(matrix[1, 1] * cam[:, 1] / z + matrix[1, 2]).astype(int)
    height, width = depth_b.shape
    seen = (cam[:, 2] > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
    return seen & (np.abs(depth_b[v, u] - z) < 0.02 * z), (v, u)


def sources(poses: np.ndarray, target: int) -> list[int]:
    """The eight nearest other frames by distance plus angle between optical axes, two or more frames away."""
    angle = np.arccos(np.clip(poses[:, :3, 2] @ poses[target, :3, 2], -1, 1))
    distance = np.linalg.norm(poses[:, :3, 3] - poses[target, :3, 3], axis=1) + angle
    allowed = [k for k in range(len(poses)) if k not in TARGETS and abs(k - target) >= 2]
    return sorted(allowed, key=lambda k: distance[k])[:8]


@pytest.mark.parametrize("shape", list(Shape))
def test_crossing_agrees_with_marching_along_the_ray(shape: Shape) -> None:
    rng = np.random.default_rng(shape)
    unit = pack([block((0, 0, -1), (2, 2, 2), GREY, shape)])
    origins, directions = rng.uniform(-2, 2, (2, 300, 3))
    enter, leave = crossing(shape, origins.T, directions.T)
    times = np.linspace(-4, 4, 4001)
    marched = inside(unit, 0, origins[:, None] + times[:, None] * directions[:, None])
    hit = marched.sum(1) > 20
    assert 30 < hit.sum() < 290
    assert (enter[hit] < leave[hit]).all()
    spans = np.minimum(leave, 4) - np.maximum(enter, -4)
    np.testing.assert_allclose(spans[hit], marched[hit].mean(1) * 8, atol=0.01)
    assert (np.maximum(spans[marched.sum(1) == 0], 0) < 0.02).all()


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("face", range(6))
def test_faces_and_texture_coordinates_round_trip(shape: Shape, face: int) -> None:
    uv = np.random.default_rng(face).uniform(0.02, 0.98, (200, 2)).astype(np.float32)
    if shape == Shape.CYLINDER and face >= 4:  # the corners of a cap's texture lie outside the disc
        uv = uv[np.linalg.norm(2 * uv - 1, axis=1) < 0.98]
    points, normals = from_cube(shape, face, uv)
    found, back = onto_cube(np.full(len(uv), shape), points)
    assert (found == face).all()
    np.testing.assert_allclose(back, uv, atol=1e-5)
    assert ((points * normals).sum(1) > 0).all()


@pytest.mark.parametrize("seed", [1, 4])
def test_depth_ends_at_the_first_surface(seed: int) -> None:
    matrix, pose = camera_intrinsics("scannet", 24, 18), walk(seed)[20]
    frame = render_frame(room(seed), pose, matrix, 18, 24)
    ends = unproject(frame.depth, pose, matrix)
    solids = room(seed).solids
    shares = np.linspace(0.02, 0.995, 120)[:, None, None]
    before = pose[:3, 3] + shares * (ends - pose[:3, 3])
    assert not any(inside(solids, k, before, slack=0.002).any() for k in range(1, len(solids.shapes)))
    behind = pose[:3, 3] + (1 + 0.004 / frame.depth.reshape(-1, 1)) * (ends - pose[:3, 3])
    landed = ~inside(solids, 0, behind)
    for k in range(1, len(solids.shapes)):
        landed |= inside(solids, k, behind, slack=-0.002)
    assert landed.mean() > 0.98  # the rest grazes an edge


def test_a_picture_does_not_depend_on_its_size() -> None:
    """Every second pixel of a picture is the picture of the camera with half the resolution."""
    matrix, pose = camera_intrinsics("scannet", 80, 64), walk(3)[10]
    coarse = matrix / np.array([[2], [2], [1]])
    large, small = render_frame(room(3), pose, matrix, 64, 80), render_frame(room(3), pose, coarse, 32, 40)
    np.testing.assert_allclose(large.depth[::2, ::2], small.depth, atol=1e-3)
    assert (large.labels[::2, ::2] == small.labels).mean() > 0.995


def test_views_agree_with_each_other(written: Path) -> None:
    """Frame A reprojected into B with the files on disk: colour and label agree on 97% of the co-visible pixels."""
    for folder in sorted(written.glob("room_*")):
        poses = np.stack([np.loadtxt(folder / "pose" / f"{k}.txt") for k in range(40)])
        matrix = np.loadtxt(folder / "intrinsic" / "intrinsic_depth.txt")[:3, :3]
        color = [cv2.imread(str(folder / "color" / f"{k}.jpg")) / 255.0 for k in range(40)]
        depth = [cv2.imread(str(folder / "depth" / f"{k}.png"), -1) / 1000.0 for k in range(40)]
        label = [cv2.imread(str(folder / "label-filt" / f"{k}.png"), -1) for k in range(40)]
        agreed, total = 0, 0
        for a, b in [(4, 6), (12, 15), (20, 24), (28, 30), (36, 33), (9, 8)]:
            seen, at = covisible(depth[a], poses[a], depth[b], poses[b], matrix)
            close = np.abs(color[a].reshape(-1, 3) - color[b][at]).max(1) <= 0.08
            agreed += (seen & close & (label[a].ravel() == label[b][at])).sum()
            total += seen.sum()
        assert total > 6 * 0.5 * WIDTH * HEIGHT
        assert agreed / total >= 0.97, folder.name


def test_targets_are_seen_by_sources_that_are_not_copies() -> None:
    matrix = camera_intrinsics("scannet", 40, 32)
    covered = []
    for seed in SEEDS:
        poses = walk(seed)
        depth = [render_frame(room(seed), pose, matrix, 32, 40).depth for pose in poses]
        for target in TARGETS:
            near = sources(poses, target)
            away = np.linalg.norm(poses[near, :3, 3] - poses[target, :3, 3], axis=1).mean()
            angle = np.rad2deg(np.arccos(np.clip(poses[near, :3, 2] @ poses[target, :3, 2], -1, 1))).mean()
            assert away >= 0.25 or angle >= 10
            views = sum(covisible(depth[target], poses[target], depth[k], poses[k], matrix)[0] for k in near)
            covered.append((views >= 2).mean())
    assert np.mean(covered) >= 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_the_camera_walks_smoothly_and_keeps_its_distance(seed: int) -> None:
    poses = walk(seed)
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turns = np.arccos(np.clip((poses[1:, :3, 2] * poses[:-1, :3, 2]).sum(1), -1, 1))
    assert 0.07 < steps.mean() < 0.16 and steps.max() < 0.25 and np.rad2deg(turns).max() < 9
    np.testing.assert_allclose(poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1), np.eye(3)[None].repeat(40, 0), atol=1e-9)
    assert (np.linalg.det(poses[:, :3, :3]) > 0).all() and (poses[:, 2, 1] < -0.8).all()  # image "down" is world down
    matrix = camera_intrinsics("scannet", 40, 32)
    assert min(render_frame(room(seed), pose, matrix, 32, 40).depth.min() for pose in poses[::4]) >= 0.4
    solids, ball = room(seed).solids, np.random.default_rng(0).normal(size=(200, 3))
    around = poses[::4, None, :3, 3] + 0.4 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    assert inside(solids, 0, poses[:, :3, 3]).all()
    assert not any(inside(solids, k, around).any() for k in range(1, len(solids.shapes)))


def test_rooms_hold_the_classes_of_scannet() -> None:
    matrix, per_room = camera_intrinsics("scannet", 40, 32), []
    ids = np.array([0] + [category.nyu40_id for category in categories().values()])
    for seed in SEEDS:
        labels = np.stack([render_frame(room(seed), pose, matrix, 32, 40).labels for pose in walk(seed)[::4]])
        per_room.append(set(np.unique(ids[labels])) & SCANNET)
    assert len(set.union(*per_room)) >= 14
    assert np.median([len(seen) for seen in per_room]) >= 8


@pytest.mark.parametrize("seed", range(12))
def test_furniture_is_plentiful_apart_and_supported(seed: int) -> None:
    """8 to 20 pieces of several parts; nothing inside another thing; everything stands on something or hangs."""
    made, rng = room(seed), np.random.default_rng(seed)
    small = {"books", "pillow", "monitor", "television", "stove", "lamp", "rug", "plant"}
    fixed = {"wall", "door", "window", "curtain", "picture", "mirror", "towel", "whiteboard"}
    furniture = [item for item in made.items if item.category not in small | fixed]
    assert 8 <= len(furniture) <= 20
    assert all(len(item.parts) > 1 for item in furniture)
    solids = [pack(item.parts) for item in made.items]
    cube = rng.uniform(-1, 1, (150, 3))
    points = [np.concatenate([(cube * p.half) @ p.rotation.T + p.centre for p in item.parts]) for item in made.items]
    points = [p[np.any([inside(s, k, p, 0.002) for k in range(len(s.shapes))], axis=0)] for p, s in zip(points, solids, strict=True)]
    soft = [item.category == "pillow" for item in made.items]
    for a in range(len(points)):
        for b in range(len(points)):
            if a != b and not soft[a] and not soft[b]:
                deep = [inside(solids[b], k, points[a], 0.01).any() for k in range(len(solids[b].shapes))]
                assert not any(deep), (made.items[a].category, made.items[b].category)
    for a, item in enumerate(made.items):
        corners = np.concatenate([part.corners() for part in item.parts])
        on_floor = abs(corners[:, 2].min()) < 0.02
        half = made.solids.halves[0]
        hung = (half[:2] - np.abs(corners[:, :2])).min() < 0.3 or 2 * half[2] - corners[:, 2].max() < 0.01
        below = points[a][points[a][:, 2] < corners[:, 2].min() + 0.1] - np.array([0, 0, 0.12])
        carried = any(inside(s, k, below).any() for j, s in enumerate(solids) if j != a for k in range(len(s.shapes)))
        assert on_floor or hung or carried, item.category
        assert (np.abs(corners[:, :2]) <= half[:2] + 1e-6).all() and corners[:, 2].min() > -1e-6


def test_things_of_one_class_differ_in_colour() -> None:
    for seed in range(12):
        seen: dict[str, list[np.ndarray]] = {}
        for item in room(seed).items:
            if item.category in {"chair", "armchair", "stool", "cabinet", "desk", "bookshelf", "office chair"}:
                colours = {part.material.colour for part in item.parts}
                assert all(colours != other for other in seen.get(item.category, []))
                seen.setdefault(item.category, []).append(colours)


def test_a_table_casts_a_shadow() -> None:
    board = Item("table", (block((0, 0, 1), (1, 1, 0.05), GREY),))
    solids = pack([block((0, 0, 0), (4, 4, 3), GREY), *board.parts])
    scene = occluders(solids, np.array([-1, 0]), [board])
    floor = np.array([[0.0, 0.4, 0.9, 1.5, -1.9], [0.0, -0.4, 0.9, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    towards = np.array([[0.0], [0.0], [2.9]], np.float32) - floor
    expected = np.abs(floor[:2] * (1 - 1.0 / 2.9)).max(0) < 0.5  # where the segment passes the height of the board
    assert (blocked(scene, floor, towards, np.full(5, -1)) == expected).all()


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 4), ("b", 4), ("c", 10)):
        write_room(tmp_path / name, seed, "scannet", 3, 40, 32)
    a, b, c = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in "abc")
    assert a == b
    assert len(a) == 3 * 5 + 4
    assert a.keys() == c.keys() and all(a[p] != c[p] for p in a if p.parts[0] in {"color", "depth", "pose"})


def test_scannet_files(written: Path) -> None:
    folder = written / "room_0003"
    frame = render_frame(room(3), walk(3)[7], camera_intrinsics("scannet", WIDTH, HEIGHT), HEIGHT, WIDTH)
    depth, label, instance = (cv2.imread(str(folder / n / "7.png"), -1) for n in ("depth", "label-filt", "instance-filt"))
    assert (depth.dtype, label.dtype, instance.dtype) == (np.uint16, np.uint16, np.uint8)
    np.testing.assert_allclose(depth / 1000, frame.depth, atol=6e-4)
    assert (label == frame.labels).all() and (instance == frame.instances).all()
    color = cv2.imread(str(folder / "color" / "7.jpg"))[..., ::-1].astype(float)
    assert np.sqrt(((color - frame.rgb) ** 2).mean()) < 2.5
    np.testing.assert_allclose(np.loadtxt(folder / "pose" / "7.txt"), walk(3)[7], atol=1e-7)
    building = {categories()[name].raw_id for name in ("wall", "floor", "ceiling")}
    assert ((instance == 0) == np.isin(label, list(building))).all()
    for a in np.unique(instance[instance > 0]):
        assert len(np.unique(label[instance == a])) == 1
    assert not list(written.glob(".*"))


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
        assert np.abs(cv2.imread(str(sequence / "rgb" / f"rgb_{k}.png"))[..., ::-1].astype(int) - frame.rgb).mean() < 0.5
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
    refused = run("--layout", "replica", "--width", "100", "--height", "100")
    assert refused.returncode == 2 and refused.stderr.startswith("error: --width") and refused.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "width", "height", "rate"), [("scannet", 320, 240, 2), ("replica", 160, 120, 8)])
def test_speed(tmp_path: Path, layout: str, width: int, height: int, rate: float) -> None:
    """Frames a second of processor time, from the seed to the files."""
    import time

    begin = time.process_time()
    for seed in SEEDS:
        write_room(tmp_path / str(seed), seed, layout, 40, width, height)
    assert 40 * len(SEEDS) / (time.process_time() - begin) >= rate
