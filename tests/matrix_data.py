"""One tiny scene of every layout that is read, under protocols with one target, and the flags of runs on it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from posed_scenes import parameters, transforms_of, write_colmap, write_transforms
from tiny_runs import REPOSITORY, flags
from tiny_scenes import circle_pose, write_label_table, write_replica, write_scannet

FRAMES, HEIGHT, WIDTH = 6, 36, 48
TARGET = 2
_TINY = ["--num_source_views", "2", "--N_samples", "3", "--N_importance", "1", "--N_rand", "8", "--total_step", "1"]


@dataclass(frozen=True)
class Layout:
    """A layout's data set, its names in flags, and the scene of it; `start` names the layout whose weights its runs
    start from."""

    dataset: str
    names: tuple[str, str]
    scene: str
    place: str
    start: str

    def folder(self, root: Path) -> Path:
        return root / "data" / self.place


LAYOUTS = {
    "scannet": Layout("rooms", ("train_rooms", "val_rooms"), "room_0000", "rooms/room_0000", "scannet"),
    "replica": Layout(
        "replica", ("train_replica", "val_replica"), "office_0", "Replica/office_0/Sequence_1", "replica"
    ),
    "replica_dm": Layout("replica_dm", ("instance_replica",) * 2, "office_0", "Replica_DM/office_0", "replica"),
    "transforms": Layout("posed_images", ("posed_images",) * 2, "desk", "posed_images/desk", "scannet"),
    "colmap": Layout("posed_images", ("posed_images",) * 2, "shelf", "posed_images/shelf", "scannet"),
}
_POSES = np.stack([circle_pose(number, FRAMES) for number in range(FRAMES)])


def write_layouts(root: Path) -> None:
    """All scenes, and a protocol file and a split file for each."""
    room = write_scannet(LAYOUTS["scannet"].folder(root), FRAMES, HEIGHT, WIDTH)
    for name in ("rooms", "posed_images"):
        (root / "data" / name).mkdir(exist_ok=True)
        write_label_table(root / "data" / name)
    for name in ("replica", "replica_dm"):
        write_replica(LAYOUTS[name].folder(root), FRAMES, HEIGHT, WIDTH)
    shutil.rmtree(LAYOUTS["replica_dm"].folder(root) / "semantic_class")
    for name in ("transforms", "colmap"):
        _write_photographs(room, LAYOUTS[name].folder(root), name)
    for name, layout in LAYOUTS.items():
        rules = json.loads((REPOSITORY / f"configs/protocols/{layout.dataset}_clean.json").read_text())
        rules |= {"evaluation_targets": {"start": TARGET, "stop": TARGET + 1}, "finetuning_targets": {"start": 0}}
        rules |= {"min_index_gap": 1}
        (root / f"{name}.json").write_text(json.dumps(rules))
        (root / f"{name}.txt").write_text(layout.scene)


def flags_of(root: Path, name: str, task: str, *more: object) -> list[str]:
    """The command line of a run of a task on a layout; `more` wins."""
    layout = LAYOUTS[name]
    data = ("--train_dataset", layout.names[0], "--eval_dataset", layout.names[1])
    scenes = ("--train_scenes", layout.scene, "--val_set_list", root / f"{name}.txt")
    run = ("--protocol", root / f"{name}.json", "--task", task, "--expname", f"{name}_{task}")
    return flags(root, *data, *scenes, *run, *_TINY, *more)


def _write_photographs(room: Path, folder: Path, form: str) -> None:
    for part in ("color", "depth", "label-filt", "instance-filt"):
        shutil.copytree(room / part, folder / ("images" if part == "color" else part))
    matrix = np.loadtxt(room / "intrinsic/intrinsic_color.txt")[:3, :3]
    names = [f"{number}.jpg" for number in range(FRAMES)]
    if form == "transforms":
        content = transforms_of(_POSES, matrix, (HEIGHT, WIDTH), [f"images/{name}" for name in names])
        write_transforms(folder, content | {"near": 0.3, "far": 5.0, "k1": -0.05})
        return
    points = np.random.default_rng(0).uniform((0, -0.3, 0.9), (0.6, 0.3, 1.5), (30, 3))
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", matrix), "width": WIDTH, "height": HEIGHT}
    write_colmap(folder, _POSES, names, camera, points, text=True)
