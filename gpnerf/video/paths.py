"""Which camera path a video follows: one made from the scene's own cameras, or one from a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from gpnerf.camera_checks import require_pose
from gpnerf.data.files import parse_numbers
from gpnerf.data.protocol import indices_of
from gpnerf.data.scene import Scene
from gpnerf.errors import UserError
from gpnerf.storage import read_text
from gpnerf.trajectories import interpolate, orbit, spiral

Trajectory = Literal["interpolate", "orbit", "spiral", "file"]

_KEYS = 12

Poses = Float[np.ndarray, "frames 4 4"]


def camera_path(scene: Scene, trajectory: Trajectory, frames: int, keys: Sequence[int], file: Path | None) -> Poses:
    """Camera-to-world poses of a video; `keys` are frame numbers to pass through, by default 12 of the scene's.

    Raises:
        UserError: a frame that the scene does not have, a file without poses, or cameras that no path can be made of.
    """
    if trajectory == "file":
        if file is None:
            raise UserError("--trajectory file: expected a file of poses, found none; name it with --poses")
        return read_poses(file)
    if trajectory == "interpolate":
        spread = np.linspace(0, len(scene) - 1, min(_KEYS, len(scene))).round().astype(int)
        return interpolate(scene.cam_to_world[indices_of(scene, keys) if keys else spread], frames)
    return (orbit if trajectory == "orbit" else spiral)(scene.cam_to_world, frames)


def read_poses(path: Path) -> Poses:
    """Camera-to-world poses of a text file, 16 numbers a line, row by row; empty lines are passed over.

    Raises:
        UserError: no such file, or a line that is no pose.
    """
    lines = read_text(path, "one pose of 16 numbers a line", "name a file of poses with --poses").splitlines()
    poses = [_parse(line, f"{path}, line {k}") for k, line in enumerate(lines, start=1) if line.strip()]
    if not poses:
        raise UserError(f"{path}: expected one pose of 16 numbers a line, found an empty file")
    return np.stack(poses)


def _parse(line: str, where: str) -> Float[np.ndarray, "4 4"]:
    return require_pose(parse_numbers(line, 16, where).reshape(4, 4), where, "export the path again")
