"""Writes ScanNet downloads for the tests: `.sens` recordings and archives of label maps, of procedural rooms."""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from rooms_helper import room, walk

from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.rooms import render_frame

COLOUR, DEPTH = (64, 80), (32, 40)  # height, width; two sizes, as in ScanNet
FRAMES = 6


@dataclass(frozen=True)
class Shot:
    """A frame as it is recorded, and its maps."""

    pose: np.ndarray  # float32, 4x4
    jpeg: bytes
    depth: np.ndarray  # millimetres, uint16
    labels: np.ndarray  # uint16
    instances: np.ndarray  # uint8


def intrinsics(size: tuple[int, int]) -> np.ndarray:
    """A camera of the room's, 4x4 float32."""
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = camera_intrinsics("scannet", size[1], size[0])
    return matrix


@cache
def shots(seed: int = 0, count: int = FRAMES) -> tuple[Shot, ...]:
    """Frames along the walk through a room."""
    return tuple(_shot(seed, pose) for pose in walk(seed)[:count])


def _shot(seed: int, pose: np.ndarray) -> Shot:
    colour = render_frame(room(seed), pose, intrinsics(COLOUR)[:3, :3].astype(float), *COLOUR)
    depth = render_frame(room(seed), pose, intrinsics(DEPTH)[:3, :3].astype(float), *DEPTH)
    return Shot(
        pose.astype(np.float32),
        cv2.imencode(".jpg", colour.rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes(),
        np.round(1000 * depth.depth).astype(np.uint16),
        colour.labels.astype(np.uint16),
        colour.instances.astype(np.uint8),
    )


def sens_bytes(frames: Sequence[Shot], *, version: int = 4, codes: tuple[int, int] = (2, 1), **changes: float) -> bytes:
    """The content of a recording; `changes` replace numbers of the header by name.

    `codes` are the format's numbers of colour and depth; a frame with an empty `jpeg` or `depth` has no code of it.
    """
    colour, depth = COLOUR, DEPTH
    header = {"height": colour[0], "width": colour[1], "shift": 1000.0, "count": len(frames), "name": 3} | changes
    cameras = [intrinsics(colour), np.eye(4), intrinsics(depth), np.eye(4)]
    parts = [struct.pack("<IQ", version, int(header["name"])), b"box"]
    parts += [np.asarray(matrix, "<f4").tobytes() for matrix in cameras]
    parts += [struct.pack("<ii", *codes)]
    parts += [struct.pack("<IIII", int(header["width"]), int(header["height"]), depth[1], depth[0])]
    parts += [struct.pack("<fQ", header["shift"], int(header["count"]))]
    for number, shot in enumerate(frames):
        picture, packed = _colour_code(shot, codes[0]), _depth_code(shot, codes[1])
        parts += [shot.pose.astype("<f4").tobytes(), struct.pack("<QQ", 33 * number, 33 * number + 1)]
        parts += [struct.pack("<QQ", len(picture), len(packed)), picture, packed]
    return b"".join([*parts, struct.pack("<Q", 0)])  # no readings of the gyroscope


def _colour_code(shot: Shot, code: int) -> bytes:
    if not shot.jpeg or code not in (0, 1):
        return shot.jpeg
    pixels = pixels_of(shot)
    return pixels.tobytes() if code == 0 else png(np.ascontiguousarray(pixels[..., ::-1]))


def _depth_code(shot: Shot, code: int) -> bytes:
    content = shot.depth.astype("<u2").tobytes()
    return content if code == 0 or not content else zlib.compress(content)


def pixels_of(shot: Shot) -> np.ndarray:
    """RGB of a frame's JPEG."""
    return cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def write_archive(path: Path, members: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    """A zip archive of these members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def png(values: np.ndarray) -> bytes:
    """The code of a map."""
    return cv2.imencode(".png", values)[1].tobytes()


def write_scan(
    scans: Path, name: str = "scene0000_00", frames: Sequence[Shot] | None = None, **recording: object
) -> Path:
    """A scan as the download script leaves it: recording (arguments of `sens_bytes`), labels, instances."""
    frames, folder = shots() if frames is None else frames, scans / name
    folder.mkdir(parents=True)
    (folder / f"{name}.sens").write_bytes(sens_bytes(frames, **recording))
    for part, maps in (("label", [shot.labels for shot in frames]), ("instance", [shot.instances for shot in frames])):
        members = [(f"{part}-filt/", b""), *((f"{part}-filt/{k}.png", png(values)) for k, values in enumerate(maps))]
        write_archive(folder / f"{name}_2d-{part}-filt.zip", members)
    return folder
