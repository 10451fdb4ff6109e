"""Picture files before they are decoded: regular ones, of a size that memory can hold."""

import struct
from pathlib import Path

from PIL import Image

from gpnerf.errors import UserError
from gpnerf.storage import require_file

# What Pillow, and imageio around it, raise for a damaged file or for one that states an impossible size.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError, Image.DecompressionBombError)
# A file of a few kilobytes can state 65500x65500, 12 gigabytes; the largest cameras have 102 million pixels.
_MOST_PIXELS = 2**27
_REMEDY = "restore it or remove the frame"


def picture_size(path: Path, expected: str) -> tuple[int, int]:
    """Height and width as a picture's header states them; `expected` says what it should be, for the message.

    Raises:
        UserError: no regular file, no picture, or one of more pixels than any camera takes.
    """
    require_file(path, expected, _REMEDY)
    try:
        with Image.open(path) as picture:  # reads no more than the header
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise _too_large(path, expected, str(error)) from error
    except UNREADABLE as error:
        raise unreadable(path, expected, error) from error
    if height * width > _MOST_PIXELS:
        raise _too_large(path, expected, f"{width}x{height} pixels")
    return height, width


def unreadable(path: Path, expected: str, error: Exception) -> UserError:
    """The error for a file that is there and cannot be decoded."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    size = path.stat().st_size
    return UserError(
        f"{path}: expected {expected}, found a file of {size} bytes that cannot be decoded ({reason}); {_REMEDY}"
    )


def _too_large(path: Path, expected: str, found: str) -> UserError:
    return UserError(f"{path}: expected {expected} of at most {_MOST_PIXELS} pixels, found {found}; {_REMEDY}")
