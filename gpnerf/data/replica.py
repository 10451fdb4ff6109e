"""Scenes in the layout of the Semantic-NeRF renderings of Replica, which DM-NeRF's preparation shares."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpnerf.data.files import (
    SceneFiles,
    find_series,
    first_image_size,
    optional_series,
    parse_numbers,
    rescale_intrinsics,
)
from gpnerf.data.labels import LabelMap
from gpnerf.data.scene import FrameCache, ImageForm, Scene
from gpnerf.errors import UserError
from gpnerf.storage import read_text

# The camera that rendered the data, at 640x480; the released program uses another one (two entries swapped, cy off).
_WIDTH, _HEIGHT = 640, 480
_INTRINSICS = ((320.0, 0.0, 319.5), (0.0, 320.0, 239.5), (0.0, 0.0, 1.0))
_RELEASED_INTRINSICS = ((320.0, 0.0, 320.0), (0.0, 319.5, 229.5), (0.0, 0.0, 1.0))


def replica_scene(
    folder: Path,
    *,
    name: str,
    height: int,
    width: int,
    label_map: LabelMap | None,
    cache: FrameCache,
    compat: str = "none",
) -> Scene:
    """Open `folder` = one sequence: rgb/, traj_w_c.txt and, if there, depth/, semantic_class/, semantic_instance/.

    Line N of the trajectory (from 0) is the camera-to-world pose of rgb_N. `compat` "release" takes the released
    program's intrinsics and nearest neighbour.
    """
    if not (folder / "rgb").is_dir():
        raise UserError(f"{folder}: expected a sequence with rgb/ and traj_w_c.txt, found no folder rgb/")
    colour, numbers = find_series(folder / "rgb", "rgb_", (".png", ".jpg"))
    file_size = first_image_size(colour, numbers)
    released = compat == "release"
    scale = (width / _WIDTH, height / _HEIGHT)
    intrinsics = (
        np.array(_RELEASED_INTRINSICS) * [[scale[0]], [scale[1]], [1.0]]
        if released
        else rescale_intrinsics(np.array(_INTRINSICS), scale)
    )
    places = [(folder / part, f"{part}_") for part in ("depth", "semantic_class", "semantic_instance")]
    return Scene(
        name=name,
        files=SceneFiles(colour, *optional_series(name, numbers, *places)),
        numbers=np.array(numbers),
        intrinsics=intrinsics,
        cam_to_world=_read_trajectory(folder / "traj_w_c.txt", numbers),
        file_size=file_size,
        form=ImageForm(height, width, (width / file_size[1], height / file_size[0]), centred=not released),
        label_map=label_map,
        strict_labels=False,
        cache=cache,
    )


def _read_trajectory(path: Path, numbers: list[int]) -> Float[np.ndarray, "frames 4 4"]:
    lines = read_text(path, "one pose of 16 numbers a line", "get it again").splitlines()
    if max(numbers) >= len(lines):
        raise UserError(
            f"{path}: expected a line for frame {max(numbers)}, found {len(lines)} lines; take the whole file"
        )
    return np.stack([_parse_pose(lines[number], number, path) for number in numbers])


def _parse_pose(line: str, number: int, path: Path) -> Float[np.ndarray, "4 4"]:
    where = f"{path}, line {number + 1} (camera-to-world pose of frame {number})"
    pose = parse_numbers(line, 16, where).reshape(4, 4)
    if not np.isfinite(pose).all():
        raise UserError(f"{where}: expected finite numbers, found inf or NaN; take the file as it was published")
    return pose
