"""Scenes in the layout of the Semantic-NeRF renderings of Replica, which DM-NeRF's preparation shares."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpnerf.camera_checks import require_pose
from gpnerf.data.file_names import recorded_frames, warn_without_picture
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

    Line N of the trajectory (from 0) is the camera-to-world pose of rgb_N; frames whose picture is missing keep their
    places in the order. `compat` "release" takes the released program's intrinsics, nearest neighbour and order, from
    which such frames are missing.

    Raises:
        UserError: files are missing, a pose is none, or the pictures are not of the camera's shape.
    """
    if not (folder / "rgb").is_dir():
        raise UserError(f"{folder}: expected a sequence with rgb/ and traj_w_c.txt, found no folder rgb/")
    colour, numbers = find_series(folder / "rgb", "rgb_", (".png", ".jpg", ".jpeg"))
    trajectory = folder / "traj_w_c.txt"
    lines = _trajectory_lines(trajectory, numbers)
    with_lost = recorded_frames(numbers, range(len(lines)))
    warn_without_picture(name, sorted(set(with_lost).difference(numbers)))
    file_size = first_image_size(colour, numbers)
    require_shape(file_size, folder / "rgb")
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
        intrinsics=np.tile(intrinsics, (len(numbers), 1, 1)),
        cam_to_world=np.stack([_parse_pose(lines[number], number, trajectory) for number in numbers]),
        file_size=file_size,
        form=ImageForm(height, width, (width / file_size[1], height / file_size[0]), centred=not released),
        label_map=label_map,
        strict_labels=False,
        cache=cache,
        with_lost=() if released else tuple(with_lost),
    )


def require_shape(file_size: tuple[int, int], where: Path) -> None:
    """Raise `UserError` unless pictures of (height, width) are 4:3, to the pixel, as the one known camera takes them.

    Another shape is another camera, and nothing says which.
    """
    height, width = file_size
    if abs(_HEIGHT * width - _WIDTH * height) > max(_WIDTH, _HEIGHT):
        raise UserError(
            f"{where}: expected pictures of 4:3, as the camera of this data set takes them, found {width}x{height}; "
            "render them again at 640x480, or give them cameras of their own as a posed_images scene"
        )


def _trajectory_lines(path: Path, numbers: list[int]) -> list[str]:
    lines = read_text(path, "one pose of 16 numbers a line", "get it again").rstrip().splitlines()
    if max(numbers) >= len(lines):
        raise UserError(
            f"{path}: expected a line for frame {max(numbers)}, found {len(lines)} lines; take the whole file"
        )
    return lines


def _parse_pose(line: str, number: int, path: Path) -> Float[np.ndarray, "4 4"]:
    where = f"{path}, line {number + 1} (camera-to-world pose of frame {number})"
    return require_pose(parse_numbers(line, 16, where).reshape(4, 4), where, "take the file as it was published")
