"""A small room on disk, copies of it with mistakes made on purpose, and checks of them."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from gpnerf.checking.folders import find_scenes
from gpnerf.checking.scene_check import SceneReport, check_scene
from gpnerf.data.procedural.categories import label_table
from gpnerf.data.rooms import write_room

WIDTH, HEIGHT, FRAMES = 160, 128, 12
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
TABLE = "scannetv2-labels.combined.tsv"


@cache
def _room(layout: str) -> Path:
    folder = Path(mkdtemp(prefix="checked_rooms_"))
    (folder / TABLE).write_text(label_table())
    write_room(folder / "room_0003", 3, layout, FRAMES, WIDTH, 120 if layout == "replica" else HEIGHT)
    return folder


def copy_room(goal: Path, layout: str = "scannet") -> Path:
    """A right room in `goal`/rooms; its folder."""
    shutil.copytree(_room(layout), goal / "rooms")
    return goal / "rooms" / "room_0003"


def change_poses(room: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change every pose of a room in the ScanNet layout."""
    for path in (room / "pose").iterdir():
        np.savetxt(path, change(np.loadtxt(path)))


def scale_intrinsics(room: Path, factor: float) -> None:
    """Scale focal lengths and principal point."""
    path = room / "intrinsic/intrinsic_color.txt"
    np.savetxt(path, np.diag([factor, factor, 1, 1]) @ np.loadtxt(path))


def check(room: Path, pairs: int = 5) -> SceneReport:
    """The report on one room."""
    (scene,) = find_scenes(room)
    return check_scene(scene, pairs)


def mistakes(report: SceneReport) -> list[str]:
    """What is wrong with a scene, in words."""
    return [finding.text for finding in report.findings if finding.is_mistake]
