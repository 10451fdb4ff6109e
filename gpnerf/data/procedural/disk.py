"""The two folder layouts that rooms are written in, and the cameras that belong to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int32, UInt8

from gpnerf.data.procedural.categories import categories
from gpnerf.errors import UserError

LAYOUTS = ("scannet", "replica")
_FIELD_OF_VIEW = np.deg2rad(67)
_REPLICA = (640, 480, 320.0)  # width, height, focal length (pixels)
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


@dataclass(frozen=True)
class Frame:
    """One picture of a room: colour, depth along the camera axis (metres), raw category ids and instance ids."""

    rgb: UInt8[np.ndarray, "height width 3"]
    depth: Float[np.ndarray, "height width"]
    labels: Int32[np.ndarray, "height width"]
    instances: Int32[np.ndarray, "height width"]


def camera_intrinsics(layout: str, width: int, height: int) -> Float[np.ndarray, "3 3"]:
    """The layout's camera for this picture size (pixels; centres at integers).

    ScanNet: a horizontal field of view of 67 degrees, square pixels. Replica: its 640x480 camera, scaled per axis.
    """
    if layout == "scannet":
        focal = (width / 2 / np.tan(_FIELD_OF_VIEW / 2),) * 2
    elif layout == "replica":
        focal = (_REPLICA[2] * width / _REPLICA[0], _REPLICA[2] * height / _REPLICA[1])
    else:
        raise UserError(f"--layout: expected one of {', '.join(LAYOUTS)}, found {layout!r}")
    return np.array([[focal[0], 0, (width - 1) / 2], [0, focal[1], (height - 1) / 2], [0, 0, 1]])


def write_scannet(
    folder: Path, frames: Iterable[Frame], poses: Float[np.ndarray, "frames 4 4"], intrinsics: Float[np.ndarray, "3 3"]
) -> None:
    """Write a room in the ScanNet layout; depth in whole millimetres, JPEG with hardly any loss."""
    for name in ("color", "depth", "label-filt", "instance-filt", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    matrix = np.eye(4)
    matrix[:3, :3] = intrinsics
    for sensor in ("color", "depth"):
        np.savetxt(folder / "intrinsic" / f"intrinsic_{sensor}.txt", matrix, fmt="%.9g")
        np.savetxt(folder / "intrinsic" / f"extrinsic_{sensor}.txt", np.eye(4), fmt="%.9g")
    for k, (frame, pose) in enumerate(zip(frames, poses, strict=True)):
        np.savetxt(folder / "pose" / f"{k}.txt", pose, fmt="%.9g")
        _save(folder / "color" / f"{k}.jpg", frame.rgb[..., ::-1], _JPEG)
        _save(folder / "depth" / f"{k}.png", _millimetres(frame.depth))
        _save(folder / "label-filt" / f"{k}.png", frame.labels.astype(np.uint16))
        _save(folder / "instance-filt" / f"{k}.png", frame.instances.astype(np.uint8))


def write_replica(folder: Path, frames: Iterable[Frame], poses: Float[np.ndarray, "frames 4 4"]) -> None:
    """Write a room in the Replica layout (its camera is known to the reader); one line of 16 pose numbers a frame."""
    sequence = folder / "Sequence_1"
    for name in ("rgb", "depth", "semantic_class", "semantic_instance"):
        (sequence / name).mkdir(parents=True)
    ids = np.array([0, *(category.replica_id for category in categories().values())], dtype=np.uint8)
    np.savetxt(sequence / "traj_w_c.txt", poses.reshape(-1, 16), fmt="%.9g")
    for k, frame in enumerate(frames):
        _save(sequence / "rgb" / f"rgb_{k}.png", frame.rgb[..., ::-1])
        _save(sequence / "depth" / f"depth_{k}.png", _millimetres(frame.depth))
        _save(sequence / "semantic_class" / f"semantic_class_{k}.png", ids[frame.labels])
        _save(sequence / "semantic_instance" / f"semantic_instance_{k}.png", frame.instances.astype(np.uint8))


def _millimetres(depth: Float[np.ndarray, "height width"]) -> np.ndarray:
    return np.round(1000 * depth).astype(np.uint16)


def _save(path: Path, image: np.ndarray, options: Iterable[int] = ()) -> None:
    if not cv2.imwrite(str(path), image, list(options)):
        raise UserError(f"{path}: expected to write a picture, but it could not be written: is the disk full?")
