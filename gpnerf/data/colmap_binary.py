"""COLMAP's binary files: cameras.bin, images.bin and points3D.bin, little-endian records without padding."""

import struct
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from gpnerf.data.colmap_model import CAMERA_MODELS, ModelCamera, ModelError, ModelImage, ModelPoints, world_to_camera

_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<IiQQ")  # id, model, width, height; then its numbers
_IMAGE = struct.Struct("<I7dI")  # id, rotation, translation, camera; then its name, which a zero ends, and its points
_POINT = struct.Struct("<Q3d3BdQ")  # id, place, colour, error, length of its track; then that
_IMAGE_POINT = np.dtype([("place", "<f8", 2), ("point", "<i8")])
_TRACK_ELEMENT = 8

Record = TypeVar("Record")


def read_cameras(content: bytes) -> dict[int, ModelCamera]:
    """The cameras by their numbers."""
    return dict(_records(content, _camera))


def read_images(content: bytes) -> tuple[ModelImage, ...]:
    """The registered images."""
    return tuple(_records(content, _image))


def read_points(content: bytes) -> ModelPoints:
    """The points; what an image does not see counts too."""
    records = _records(content, _point)
    numbers = np.array([number for number, _ in records], np.uint64).view(np.int64)
    return ModelPoints.of(numbers, np.array([place for _, place in records], np.float64).reshape(-1, 3))


def count_images(content: bytes) -> int:
    """How many images there are, by the file's first number."""
    return _COUNT.unpack_from(content)[0] if len(content) >= _COUNT.size else 0


def _records(content: bytes, read: Callable[[bytes, int], tuple[Record, int]]) -> list[Record]:
    """What follows the number of records; `read` gives the one at a place and the place behind it."""
    records, place = [], _COUNT.size
    try:
        for _ in range(_COUNT.unpack_from(content)[0]):
            record, place = read(content, place)
            records.append(record)
    except (struct.error, IndexError, OverflowError) as error:
        raise ModelError("a file that ends too early") from error
    if place > len(content):
        raise ModelError("a file that ends too early")
    return records


def _camera(content: bytes, place: int) -> tuple[tuple[int, ModelCamera], int]:
    number, model, width, height = _CAMERA.unpack_from(content, place)
    if not 0 <= model < len(CAMERA_MODELS):
        raise ModelError(f"camera {number} of the unknown model {model}")
    name, count = CAMERA_MODELS[model]
    place += _CAMERA.size
    numbers = struct.unpack_from(f"<{count}d", content, place)
    return (number, ModelCamera(name, width, height, numbers)), place + 8 * count


def _image(content: bytes, place: int) -> tuple[ModelImage, int]:
    number, *pose, camera = _IMAGE.unpack_from(content, place)
    start = place + _IMAGE.size
    if (end := content.find(b"\0", start)) < 0:
        raise IndexError
    try:
        name = content[start:end].decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"image {number} with a name that is not UTF-8") from error
    count, first = _COUNT.unpack_from(content, end + 1)[0], end + 1 + _COUNT.size
    if (behind := first + count * _IMAGE_POINT.itemsize) > len(content):
        raise IndexError
    seen = np.frombuffer(content, _IMAGE_POINT, count, first)["point"].astype(np.int64)
    return ModelImage(name, camera, world_to_camera(tuple(pose[:4]), tuple(pose[4:])), seen), behind


def _point(content: bytes, place: int) -> tuple[tuple[int, tuple[float, ...]], int]:
    number, x, y, z, *_, track = _POINT.unpack_from(content, place)
    return (number, (x, y, z)), place + _POINT.size + _TRACK_ELEMENT * track
