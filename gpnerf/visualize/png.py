"""The PNG files of an evaluation, written whole or not at all, and their readers.

Colour is 8-bit RGB; depth is 16-bit millimetres, 0 where unknown; class ids are one 8-bit channel, 255 for ignore;
instance ids are one 8-bit channel, or a 16-bit one where a scene has ids above 254.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from gpnerf.errors import UserError
from gpnerf.storage import read_bytes, write_whole

IGNORE_ID = 255
_MILLIMETRES = 1000
_LONGEST = np.iinfo(np.uint16).max


def save_picture(path: Path, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write an RGB picture (colour, panel, feature map)."""
    _write_png(path, np.ascontiguousarray(picture[..., ::-1]))


def save_depth(path: Path, depth: Float[Tensor, "height width"]) -> None:
    """Write a depth map given in metres; what is not positive is unknown, and 65.535 m is the most that fits."""
    millimetres = (depth.detach().double() * _MILLIMETRES).nan_to_num(0).round().clamp(0, _LONGEST)
    _write_png(path, millimetres.cpu().numpy().astype(np.uint16))


def save_labels(path: Path, labels: Int64[Tensor, "height width"], ignore: int) -> None:
    """Write class ids below 255; the ignore label, whatever its number here, becomes 255."""
    _write_png(path, torch.where(labels == ignore, IGNORE_ID, labels).cpu().numpy().astype(np.uint8))


def save_instances(path: Path, ids: Int64[Tensor, "height width"], largest: int) -> None:
    """Write instance ids; `largest` is the scene's largest, so that all its files have the same number of bits."""
    _write_png(path, ids.cpu().numpy().astype(np.uint8 if largest < IGNORE_ID else np.uint16))


def save_segments(path: Path, classes: Int64[Tensor, "height width"], instances: Int64[Tensor, "height width"]) -> None:
    """Write a class and an instance id for every pixel as one RGB picture: R is the class (255 for ignore), G + 256 B
    the instance id (0 for none).
    """
    parts = torch.stack([classes, instances % 256, instances // 256], dim=-1)
    save_picture(path, parts.cpu().numpy().astype(np.uint8))


def read_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read what `save_picture` wrote; a file that is no picture is a UserError."""
    return np.ascontiguousarray(_read_png(path, cv2.IMREAD_COLOR)[..., ::-1])


def read_depth(path: Path) -> Float[Tensor, "height width"]:
    """Read what `save_depth` wrote, in metres; a file that is no picture is a UserError."""
    return torch.from_numpy(_read_png(path, cv2.IMREAD_UNCHANGED).astype(np.float32) / _MILLIMETRES)


def read_labels(path: Path, ignore: int) -> Int64[Tensor, "height width"]:
    """Read what `save_labels` wrote, 255 turned back into `ignore`; a file that is no picture is a UserError."""
    ids = torch.from_numpy(_read_png(path, cv2.IMREAD_UNCHANGED).astype(np.int64))
    return torch.where(ids == IGNORE_ID, ignore, ids)


def read_instances(path: Path) -> Int64[Tensor, "height width"]:
    """Read what `save_instances` wrote; a file that is no picture is a UserError."""
    return torch.from_numpy(_read_png(path, cv2.IMREAD_UNCHANGED).astype(np.int64))


def read_segments(path: Path) -> tuple[Int64[Tensor, "height width"], Int64[Tensor, "height width"]]:
    """Read the classes and instance ids that `save_segments` wrote; a file that is no picture is a UserError."""
    classes, low, high = torch.from_numpy(read_picture(path).astype(np.int64)).unbind(-1)
    return classes, low + 256 * high


def _write_png(path: Path, array: np.ndarray) -> None:
    write_whole(path, cv2.imencode(".png", array)[1].tobytes())


def _read_png(path: Path, flags: int) -> np.ndarray:
    content = np.frombuffer(read_bytes(path, "a PNG picture", "run the evaluation again"), np.uint8)
    try:
        array = cv2.imdecode(content, flags) if content.size else None
    except cv2.error:  # it states an impossible size
        array = None
    if array is None:
        raise UserError(
            f"{path}: expected a PNG picture, found a file that cannot be decoded; run the evaluation again"
        )
    return array
