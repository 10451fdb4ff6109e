"""JPEG by OpenCV, which takes half of Pillow's time; a picture that libjpeg has to make up in part is refused."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import cv2
import numpy as np
from jaxtyping import UInt8

_START, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of a header with the size
# A file of a few kilobytes can state 65500x65500, 12 gigabytes; the largest cameras have 102 million pixels.
MOST_PIXELS = 2**27
_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_STDERR = 2
# How libjpeg's warnings begin, other than one about the version of a header.
_WARNINGS = (b"Corrupt JPEG data", b"Inconsistent progression")

_PADDED = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")

_one_at_a_time = Lock()  # there is one standard error stream


def is_jpeg(content: bytes) -> bool:
    """Whether a file is a JPEG by its first bytes, whatever its name ends in."""
    return content.startswith(_START)


def decode_jpeg(content: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """RGB as the pixels are stored, from grey, RGB, CMYK or YCCK; an EXIF orientation is left to the caller.

    Raises:
        ValueError: the file ends early, data are missing or damaged in its middle, or it states an absurd size.
    """
    if _stated_pixels(content) > MOST_PIXELS:
        raise ValueError(f"it states more than {MOST_PIXELS} pixels")
    if not content.endswith(_END) and content.find(_END, content.rfind(_SCAN)) < 0:
        raise ValueError("it ends early")
    image, warning = _decode(content)
    if image is None or (warning and not _is_padding(warning, content)):
        raise ValueError(warning or "no JPEG that libjpeg knows")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _decode(content: bytes) -> tuple[UInt8[np.ndarray, "height width 3"] | None, str]:
    """The picture (BGR) and libjpeg's first warning.

    libjpeg replaces what is missing by grey and warns, of which OpenCV hands on the text on standard error only.
    """
    with _one_at_a_time, _caught_stderr() as caught:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), _COLOUR)
    warnings = [line for line in caught if line.startswith(_WARNINGS)]
    for line in caught:
        if line not in warnings:  # another thread's
            os.write(_STDERR, line)
    return image, warnings[0].decode(errors="replace").strip() if warnings else ""


@contextmanager
def _caught_stderr() -> Iterator[list[bytes]]:
    """A list that gets the lines that the process writes to its standard error stream meanwhile."""
    lines: list[bytes] = []
    try:
        own = os.dup(_STDERR)
    except OSError:  # a process without one
        yield lines
        return
    caught = os.memfd_create("stderr")
    os.dup2(caught, _STDERR)
    try:
        yield lines
    finally:
        os.dup2(own, _STDERR)
        os.close(own)
        with os.fdopen(caught, "rb") as file:
            if size := file.seek(0, os.SEEK_CUR):
                file.seek(0)
                lines += file.read(size).splitlines(keepends=True)


def _is_padding(warning: str, content: bytes) -> bool:
    """Whether libjpeg warns of nothing but equal bytes before the end, with which some cameras fill up."""
    if not (match := _PADDED.fullmatch(warning)):
        return False
    end = content.rfind(_END)
    return len(set(content[end - int(match[1]) : end])) == 1


def _stated_pixels(content: bytes) -> int:
    """Height by width of the header; 0 where there is none, which the decoder refuses itself."""
    place = len(_START)
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if marker in _FRAMES:
            return int.from_bytes(content[place + 5 : place + 7]) * int.from_bytes(content[place + 7 : place + 9])
        place += 1 if marker == 0xFF else 2 + length
    return 0
