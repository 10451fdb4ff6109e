"""Picture files of a prepared scene: checked by their header, and shrunk as the readers of a scene shrink them."""

import io
import struct
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from gpnerf.data.images import blur_and_resize, decode_colour, decode_map, resize_nearest
from gpnerf.errors import UserError
from gpnerf.preparation.png import encode_map

_FORMATS = {".jpg": "JPEG", ".png": "PNG"}
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


def keep_picture(path: Path, code: bytes, sizes: Collection[tuple[int, int]], origin: str) -> None:
    """Write a JPEG or PNG file as it came from `origin`, if it is one and has one of the (height, width) `sizes`."""
    kind = _FORMATS[path.suffix]
    try:
        with Image.open(io.BytesIO(code), formats=[kind]) as picture:  # reads no more than the header
            width, height = picture.size
    except _UNREADABLE as error:
        raise UserError(f"{origin}: expected a {kind} picture, found {len(code)} bytes of another kind") from error
    if (height, width) not in sizes:
        expected = " or ".join(f"{columns}x{rows}" for rows, columns in sorted(sizes))
        raise UserError(f"{origin}: expected {expected} pixels, found {width}x{height}; download it again")
    path.write_bytes(code)


def save_map(path: Path, values: Shaped[np.ndarray, "height width"], size: tuple[int, int] | None = None) -> None:
    """Write depth (millimetres) or ids as PNG, shrunk to (height, width) `size` if they are larger."""
    if size and is_larger(values.shape, size):
        values = resize_nearest(values, *size, centred=True)
    if values.dtype == np.uint16:
        path.write_bytes(encode_map(values))
    else:
        _save(path, values)


def shrink_map(path: Path, size: tuple[int, int]) -> None:
    """Shrink a file of ids in its place."""
    values = decode_map(path)
    if is_larger(values.shape, size):
        save_map(path, values, size)


def shrink_colour(path: Path, size: tuple[int, int]) -> None:
    """Shrink a JPEG or PNG file in its place, hardly any loss added by a new JPEG code."""
    image = decode_colour(path)
    scale = (size[1] / image.shape[1], size[0] / image.shape[0])
    small = blur_and_resize(image, *size, scale).round().astype(np.uint8)
    save_colour(path, small)


def save_colour(path: Path, image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write RGB as the path's ending says, PNG or JPEG of the best quality."""
    _save(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _JPEG if path.suffix == ".jpg" else ())


def is_larger(size: tuple[int, ...], other: tuple[int, int]) -> bool:
    """Whether a (height, width) is larger than another in one direction and smaller in none."""
    return tuple(size) != other and size[0] >= other[0] and size[1] >= other[1]


def _save(path: Path, pixels: np.ndarray, options: tuple[int, ...] = ()) -> None:
    # OpenCV would write the file too, but not say why it could not.
    path.write_bytes(cv2.imencode(path.suffix, pixels, options)[1].tobytes())
