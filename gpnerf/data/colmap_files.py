"""Whether COLMAP's binary files are as long as they say: pycolmap reads on past the end of one that was cut short."""

import struct
from collections.abc import Callable
from pathlib import Path

from gpnerf.errors import UserError
from gpnerf.storage import require_file

# Little-endian records without padding; what varies follows each of them.
_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<IiQQ")  # id, model, width, height; then its parameters
_IMAGE = struct.Struct("<I7dI")  # id, rotation, translation, camera; then its name, which a zero ends, and its points
_POINT = struct.Struct("<Q3d3Bd")  # id, place, colour, error; then its track
_FRAME = struct.Struct("<II7dI")  # id, rig, rotation, translation, number of images; then these
_RIG = struct.Struct("<II")  # id, number of sensors; then the first sensor and the others
_SENSOR = struct.Struct("<iI")  # kind, id; then, for the others, whether it has a pose, and that
_SENSOR_POSE = 56
_FRAME_IMAGE = 16
_IMAGE_POINT = 24
_TRACK_ELEMENT = 8
_PARAMETER = 8
_PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16, 4, 5, 3, 4, 6, 2)  # by the number of the camera model


def require_whole(model: Path) -> None:
    """Raise `UserError` if one of a model's binary files ends before its last record; other files are passed over."""
    walks = {
        "cameras.bin": _after_camera,
        "images.bin": _after_image,
        "points3D.bin": _after_point,
        "frames.bin": _after_frame,
        "rigs.bin": _after_rig,
    }
    for name in walks:
        for path in (model / name, (model / name).with_suffix(".txt")):
            if path.exists():
                require_file(path, "a file of a COLMAP model", "copy or export it again")
    for name, after in walks.items():
        if (path := model / name).is_file() and not _is_whole(path.read_bytes(), after):
            raise UserError(f"{path}: expected a whole file, found one that ends too early; copy or export it again")


def _is_whole(content: bytes, after: Callable[[bytes, int], int]) -> bool:
    try:
        place = _COUNT.size
        for _ in range(_COUNT.unpack_from(content)[0]):
            place = after(content, place)
    except (struct.error, ValueError, OverflowError, IndexError):
        return False
    return place <= len(content)


def _after_camera(content: bytes, place: int) -> int:
    _, model, _, _ = _CAMERA.unpack_from(content, place)
    known = 0 <= model < len(_PARAMETERS)  # pycolmap says what is wrong with any other
    return place + _CAMERA.size + _PARAMETER * (_PARAMETERS[model] if known else 0)


def _after_image(content: bytes, place: int) -> int:
    _IMAGE.unpack_from(content, place)
    end = content.index(b"\0", place + _IMAGE.size) + 1
    return end + _COUNT.size + _IMAGE_POINT * _COUNT.unpack_from(content, end)[0]


def _after_point(content: bytes, place: int) -> int:
    _POINT.unpack_from(content, place)
    end = place + _POINT.size
    return end + _COUNT.size + _TRACK_ELEMENT * _COUNT.unpack_from(content, end)[0]


def _after_frame(content: bytes, place: int) -> int:
    return place + _FRAME.size + _FRAME_IMAGE * _FRAME.unpack_from(content, place)[-1]


def _after_rig(content: bytes, place: int) -> int:
    sensors, place = _RIG.unpack_from(content, place)[1], place + _RIG.size
    for number in range(sensors):
        _SENSOR.unpack_from(content, place)
        place += _SENSOR.size
        if number:
            place += 1 + _SENSOR_POSE * bool(content[place])
    return place
