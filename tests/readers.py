"""Every kind of file that the program reads: a whole one, and what reads it, for tests that damage them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import imageio.v3 as iio
import numpy as np
import packed_scenes
import torch
from own_folder import CAMERA, FRAMES, HEIGHT, POSES, WIDTH, content, open_own, write_own
from posed_scenes import parameters, write_colmap, write_transforms
from sens_writer import png, sens_bytes, shots, write_archive
from tiny_model import FAR, NEAR, architecture, model
from tiny_scenes import circle_pose, smooth_image, write_label_table, write_replica, write_scannet

import gpnerf
from gpnerf.config import parse
from gpnerf.data.images import decode_colour, decode_map, image_size
from gpnerf.data.label_digests import read_digests
from gpnerf.data.labels import scannet_labels
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.replica import replica_scene
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache
from gpnerf.data.splits import read_split
from gpnerf.preparation.archives import extract, list_files, read_pictures
from gpnerf.preparation.record import Record, check_record
from gpnerf.preparation.sens import open_sens, read_codes, unpack_depth
from gpnerf.study.plan import load_study
from gpnerf.video.frames import FrameFolder
from gpnerf.video.paths import read_poses
from gpnerf.visualize.png import read_picture


@dataclass(frozen=True)
class Kind:
    """`write` puts a whole file (and what it needs) into an empty folder; `read` is given its path.

    `spared` says that the program does without the file, whatever is wrong with it.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    spared: bool = False


def _text(name: str, lines: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(lines)
        return folder / name

    return write


def _scannet(file: str) -> Callable[[Path], Path]:
    return lambda folder: write_scannet(folder / "scene", frames=2, height=24, width=32) / file


def _open_scannet(path: Path) -> None:
    scene = scannet_scene(path.parents[1], name="scene", height=24, width=32, label_map=None, cache=FrameCache(0))
    scene.image(0)


def _open_replica(path: Path) -> None:
    replica_scene(path.parent, name="office", height=24, width=32, label_map=None, cache=FrameCache(0))


def _write_transforms(folder: Path) -> Path:
    return write_transforms(write_own(folder), content())


def _colmap(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        own, chosen = write_own(folder), {"model": "PINHOLE", "params": parameters("PINHOLE", CAMERA)}
        points = np.random.default_rng(0).uniform(1, 2, (5, 3))
        camera = {**chosen, "width": WIDTH, "height": HEIGHT}
        names = [f"{number}.png" for number in range(FRAMES)]
        return write_colmap(own, POSES, names, camera, points, text=name.endswith(".txt")) / name

    return write


def _sens(folder: Path) -> Path:
    (folder / "scene.sens").write_bytes(sens_bytes(shots(count=2)))
    return folder / "scene.sens"


def _read_sens(path: Path) -> None:
    sens = open_sens(path)
    for frame, _, depth in read_codes(sens, sens.frames):
        unpack_depth(sens, frame, depth)


def _archive(folder: Path) -> Path:
    maps = [(f"scene/label-filt/{k}.png", png(np.full((4, 5), k, np.uint16))) for k in range(3)]
    return write_archive(folder / "labels.zip", maps)


def _read_archive(path: Path) -> None:
    list_files(path)
    list(read_pictures(path, "label-filt", {0, 1, 2}, 10_000))
    with TemporaryDirectory(dir=path.parent) as place:
        extract(path, Path(place) / "unpacked", PurePosixPath)


def _picture(name: str, values: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        iio.imwrite(folder / name, values)
        return folder / name

    return write


def _read_colour(path: Path) -> None:
    image_size(path)
    decode_colour(path)


def _packed(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        name = packed_scenes.room(folder)
        packed_scenes.packed(folder, name, _PROTOCOL)
        return folder / f"data/rooms/{name}/packed/32x24{suffix}"

    return write


def _read_packed(path: Path) -> None:
    scene = packed_scenes.opened(path.parents[4], path.parents[1].name, _PROTOCOL)
    for index in (0, len(scene) - 1):
        scene.image(index)


def _checkpoint(folder: Path) -> Path:
    path, described = folder / "model.pth", {"class_names": ["wall", "floor", "chair"], "depth_range": (NEAR, FAR)}
    sizes = {"trans_depth": 1, "netwidth": 8, "head_width": 8}
    whole = {"model": model(**sizes).state_dict(), "architecture": architecture(**sizes).to_dict(), "step": 4}
    torch.save({**whole, **described}, path)  # without a checksum, which would catch every change before it is read
    return path


def _frames_json(folder: Path) -> Path:
    _frame_folder(folder).claim({"scene": "room", "size": [40, 32]}, "digest", POSES)
    return folder / "frames.json"


def _frame_folder(folder: Path) -> FrameFolder:
    return FrameFolder(folder, ("colour",), 3)


def _record(folder: Path) -> Path:
    Record.of(folder, {"size": [4, 5]}, (), 0, "5x4", ()).write(folder)
    return folder / "prepared.json"


_PROTOCOL = packed_scenes.protocol_of("rooms", (24, 32))
_RNG = np.random.default_rng(0)
_PHOTO = smooth_image(_RNG, 24, 32)
_POSES = "\n".join(" ".join(map(str, circle_pose(k, 3).ravel().tolist())) for k in range(3))

KINDS = {
    "transforms.json": Kind(_write_transforms, lambda path: open_own(path.parent)),
    **{
        f"{part}{suffix}": Kind(_colmap(f"{part}{suffix}"), lambda path: open_own(path.parents[2]))
        for part in ("cameras", "images", "points3D")
        for suffix in (".txt", ".bin")
    },
    "pose": Kind(_scannet("pose/1.txt"), _open_scannet),
    "intrinsics": Kind(_scannet("intrinsic/intrinsic_color.txt"), _open_scannet),
    "label table": Kind(write_label_table, scannet_labels),
    "trajectory": Kind(lambda folder: write_replica(folder / "a", 2, 24, 32) / "traj_w_c.txt", _open_replica),
    "split": Kind(_text("split.txt", "scannet/scene0000_00/black_320\n# more\nroom_0001\n"), read_split),
    "protocol": Kind(
        lambda folder: _text("p.json", (packed_scenes.CONFIGS / "protocols/rooms_clean.json").read_text())(folder),
        lambda path: load_protocol(str(path), "rooms", packed_scenes.CONFIGS),
    ),
    "config": Kind(
        _text("c.txt", "expname = a\nN_rand = 16\ndepth_range = [0.1, 6]\ntrain_scenes = [room_0000]\n"),
        lambda path: parse(["--config", str(path)]),
    ),
    "study": Kind(
        lambda folder: _text("s.toml", (packed_scenes.CONFIGS / "studies/rooms.toml").read_text())(folder), load_study
    ),
    "sens": Kind(_sens, _read_sens),
    "zip": Kind(_archive, _read_archive),
    "png": Kind(_picture("a.png", _PHOTO), _read_colour),
    "jpg": Kind(_picture("a.jpg", _PHOTO), _read_colour),
    "map": Kind(_picture("m.png", _RNG.integers(0, 5000, (24, 32)).astype(np.uint16)), decode_map),
    "own png": Kind(_picture("o.png", _PHOTO), read_picture),
    "packed": Kind(_packed(".npy"), _read_packed, spared=True),
    "packed description": Kind(_packed(".json"), _read_packed, spared=True),
    "checkpoint": Kind(_checkpoint, lambda path: gpnerf.load(path, "cpu")),
    "frames.json": Kind(
        _frames_json,
        lambda path: _frame_folder(path.parent).claim({"scene": "room", "size": [40, 32]}, "digest", POSES),
    ),
    "prepared.json": Kind(_record, lambda path: check_record(path.parent, {"size": [4, 5]}, (), ())),
    "digests": Kind(_text("d.sha256", f"{'0' * 64}  room_0000\n{'1' * 64}  room_0001\n"), read_digests),
    "poses": Kind(_text("poses.txt", _POSES), read_poses),
}
