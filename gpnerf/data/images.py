"""Decoding and resizing of colour, depth and label images."""

import io
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from gpnerf.data.jpeg import MOST_PIXELS, decode_jpeg, is_jpeg
from gpnerf.errors import UserError
from gpnerf.storage import read_bytes, require_file

# What Pillow, imageio around it and OpenCV raise for a damaged file or for one that states an impossible size.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError, cv2.error)
_REMEDY = "restore it or remove the frame"
_RGB = "an RGB image"
_UPRIGHT = 1  # EXIF's orientation of a picture that is shown as it is stored

# Pillow's modes that are colours of 8 bits, and those with transparency.
_COLOURS = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
_WITH_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
_DEPTH_BYTE = 24  # where a PNG file states its bits a channel


@dataclass(frozen=True)
class PictureHeader:
    """What a picture's header tells: (height, width) in pixels as stored, whether there is transparency, and whether
    EXIF asks viewers to turn or mirror it."""

    size: tuple[int, int]
    has_alpha: bool
    is_turned: bool


def read_header(path: Path) -> PictureHeader:
    """The header of a picture file.

    Raises:
        UserError: it is no regular file, or no picture.
    """
    require_file(path, "an image", _REMEDY)
    try:
        with Image.open(path) as image:
            _refuse_huge(path, image)
            has_exif = image.format == "JPEG" or "exif" in image.info  # elsewhere a search would decode the picture
            turned = has_exif and image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT
            return PictureHeader((image.height, image.width), _has_alpha(image), turned)
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except _UNREADABLE as error:
        raise _unreadable(path, "an image", error) from error


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file as stored, from its header."""
    return read_header(path).size


def decode_colour(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """RGB of a picture in any of its colour modes, at the file's own size and as its pixels are stored.

    Grey is repeated, inks are turned into colours, 16 bits become 8, and what is transparent is shown on white. An
    EXIF orientation is not obeyed: poses are those of stored pixels, as COLMAP reads them.

    Raises:
        UserError: there is no such file, it is damaged, or its values are no colours.
    """
    content = read_bytes(path, _RGB, _REMEDY)
    try:
        return decode_jpeg(content) if is_jpeg(content) else _decode_others(path, content)
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except _UNREADABLE as error:
        raise _unreadable(path, _RGB, error) from error


def decode_map(path: Path) -> Shaped[np.ndarray, "height width"]:
    """A single-channel image of unsigned integers (depth in millimetres, raw label or instance ids)."""
    expected = "a single-channel image"
    content = read_bytes(path, expected, _REMEDY)
    if is_jpeg(content):  # mixes ids of neighbours, and holds 8 bits of a depth that has 16
        raise UserError(f"{path}: expected {expected} stored without loss, found a JPEG; export it again as PNG")
    try:
        with Image.open(io.BytesIO(content)) as header:
            _refuse_huge(path, header)
        image = iio.imread(content)
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except _UNREADABLE as error:
        raise _unreadable(path, expected, error) from error
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


def _decode_others(path: Path, content: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """RGB by Pillow, which raises on a file that stops early."""
    with Image.open(io.BytesIO(content)) as image:
        _refuse_huge(path, image)
        if image.mode not in (*_COLOURS, *_WITH_ALPHA):
            found = f"a {image.format} of mode {image.mode} (values that are no colours)"
            raise UserError(f"{path}: expected {_RGB}, found {found}; export this frame again")
        image.load()
        if image.format == "PNG" and content[_DEPTH_BYTE] == 16:
            return np.array(_on_white(_from_16_bits(content)))
        return np.array(_on_white(image))


def _from_16_bits(content: bytes) -> Image.Image:
    # Pillow would cut the lower byte off, not round.
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3:
        raise ValueError("16 bits in a form that OpenCV does not read")
    order = cv2.COLOR_BGRA2RGBA if pixels.shape[-1] == 4 else cv2.COLOR_BGR2RGB
    return Image.fromarray(cv2.cvtColor(((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8), order))


def _on_white(image: Image.Image) -> Image.Image:
    if not _has_alpha(image):
        return image.convert("RGB")
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in _WITH_ALPHA or "transparency" in image.info


def _refuse_huge(path: Path, image: Image.Image) -> None:
    """Before anything of its size is made."""
    if image.width * image.height > MOST_PIXELS:
        raise _too_large(path, f"{image.width}x{image.height} pixels")


def _too_large(path: Path, found: str) -> UserError:
    return UserError(f"{path}: expected a picture of at most {MOST_PIXELS} pixels, found {found}; {_REMEDY}")


def _unreadable(path: Path, expected: str, error: Exception) -> UserError:
    found = f"a file of {path.stat().st_size} bytes that cannot be decoded" if path.exists() else "no such file"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "no known format"  # Pillow names an object of ours
    return UserError(f"{path}: expected {expected}, found {found} ({reason}); {_REMEDY}")


def _describe(image: np.ndarray) -> str:
    return f"{image.dtype} of shape {image.shape}"
