"""Decoding and resizing of colour, depth and label images."""

import math
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from gpnerf.data.picture_files import UNREADABLE, picture_size, unreadable
from gpnerf.errors import UserError

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file, from its header."""
    return picture_size(path, "an image")


def decode_colour(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """RGB at the file's own size; an alpha channel is dropped."""
    image = _decode(path, "an RGB image")
    if image.ndim != 3 or image.shape[2] not in (3, 4) or image.dtype != np.uint8:
        raise UserError(f"{path}: expected an 8-bit RGB image, found {_describe(image)}; export this frame again")
    return np.ascontiguousarray(image[..., :3])


def decode_map(path: Path) -> Shaped[np.ndarray, "height width"]:
    """A single-channel image of unsigned integers (depth in millimetres, raw label or instance ids)."""
    image = _decode(path, "a single-channel image")
    if image.ndim != 2 or image.dtype.kind != "u":
        raise UserError(f"{path}: expected one channel of 8 or 16 bits, found {_describe(image)}; export it again")
    return image


def blur_and_resize(
    image: Shaped[np.ndarray, "rows cols 3"], height: int, width: int, scale: tuple[float, float]
) -> Float[np.ndarray, "height width 3"]:
    """Shrink bytes or floats without aliasing, in float32: Gaussian blur per axis, then bilinear.

    `scale` = (x, y) factors that set the blur: sigma = 1 / (3 s) input pixels where s < 1, none elsewhere; the kernel
    is the odd ceil(((sigma - 0.8) / 0.3 + 1) * 2 + 1), borders are reflect-101.
    """
    across, down = (_kernel(1 / (3 * s) if s < 1 else 0.0) for s in scale)
    # From bytes to blurred floats in one pass: at full size a pass that only converts would cost as much as the blur.
    blurred = cv2.sepFilter2D(image, cv2.CV_32F, across, down, borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_nearest(
    image: Shaped[np.ndarray, "rows cols"], height: int, width: int, centred: bool
) -> Shaped[np.ndarray, "height width"]:
    """Nearest neighbour by pixel centres, as the bilinear resize of colour is, or (`centred` off) by corners."""
    rows = _nearest_indices(image.shape[0], height, centred)
    columns = _nearest_indices(image.shape[1], width, centred)
    return image[rows[:, None], columns]


def _nearest_indices(old: int, new: int, centred: bool) -> Shaped[np.ndarray, "new"]:
    steps = np.arange(new)
    return (2 * steps + 1) * old // (2 * new) if centred else steps * old // new


def _kernel(sigma: float) -> Float[np.ndarray, "taps 1"]:
    if sigma == 0:
        return np.ones((1, 1), np.float32)
    size = math.ceil(((sigma - 0.8) / 0.3 + 1) * 2 + 1)
    return cv2.getGaussianKernel(max(1, size + 1 - size % 2), sigma, cv2.CV_32F)


def _decode(path: Path, expected: str) -> Shaped[np.ndarray, "..."]:
    picture_size(path, expected)
    # Pillow, which imageio uses, raises on a file that stops early; OpenCV would fill the rest with grey.
    try:
        jpeg = _whole_jpeg(path) if path.suffix == ".jpg" else None
        return iio.imread(path) if jpeg is None else jpeg
    except (*UNREADABLE, cv2.error) as error:
        raise unreadable(path, expected, error) from error


def _whole_jpeg(path: Path) -> Shaped[np.ndarray, "..."] | None:
    """A JPEG file that ends as it should, by OpenCV: Pillow's values in half its time. None for any other file."""
    content = path.read_bytes()
    if not (content.startswith(_JPEG_START) and content.endswith(_JPEG_END)):
        return None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image is not None and image.ndim == 3 else image


def _describe(image: np.ndarray) -> str:
    return f"{image.dtype} of shape {image.shape}"
