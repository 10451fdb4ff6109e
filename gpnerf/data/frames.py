"""From a frame's files to arrays at the image size, still in the files' units."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from gpnerf.data.images import blur_and_resize, decode_colour, decode_map, resize_nearest
from gpnerf.data.lens import Lens
from gpnerf.errors import UserError

# What a frame may have a file of, as `SceneFiles` calls it.
Part = Literal["colour", "depth", "labels", "instances"]
PARTS: tuple[Part, ...] = ("colour", "depth", "labels", "instances")


@dataclass(frozen=True)
class ImageForm:
    """The size that images are given (pixels), the (x, y) factors that set the blur before it, and the released
    program's corner-aligned nearest neighbour (`centred` off)."""

    height: int
    width: int
    blur_scale: tuple[float, float]
    centred: bool = True


def read_colour(
    path: Path, form: ImageForm, file_size: tuple[int, int], lens: Lens | None = None
) -> UInt8[np.ndarray, "3 height width"] | Float[np.ndarray, "3 height width"]:
    """RGB from 0 to 255: bytes where the file has the image size already, else float32.

    The file must have `file_size` = (height, width), or with a `lens`, whose distortion is undone, that one's.
    """
    image: np.ndarray = decode_colour(path)
    sizes, scale = (file_size, "like the scene's other frames"), form.blur_scale
    if lens:
        sizes, scale = (lens.size, "as its camera says"), (form.width / lens.width, form.height / lens.height)
    if image.shape[:2] != sizes[0]:
        found, expected = (f"{width}x{height}" for height, width in (image.shape[:2], sizes[0]))
        raise UserError(f"{path}: expected {expected} pixels {sizes[1]}, found {found}")
    if lens and not lens.is_pinhole:
        image = lens.undistort(image, cv2.INTER_LINEAR)
    if image.shape[:2] != (form.height, form.width):
        image = blur_and_resize(image, form.height, form.width, scale)
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def read_map(path: Path, form: ImageForm, lens: Lens | None = None) -> Shaped[np.ndarray, "height width"]:
    """Depth in millimetres, raw label or instance ids: nearest neighbours, never mixed."""
    image = decode_map(path)
    if lens and not lens.is_pinhole:
        image = lens.undistort(image, cv2.INTER_NEAREST)
    return resize_nearest(image, form.height, form.width, form.centred)
