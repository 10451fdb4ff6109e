"""Reader of ScanNet's `.sens` recordings, version 4: cameras, poses, JPEG colour and zlib-packed depth.

A recording is read frame by frame, and no size that it states is believed before it is held against the picture size
and the file's length: memory stays within a few pictures whatever the file says.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from jaxtyping import Float, UInt16

from gpnerf.errors import UserError
from gpnerf.storage import require_file

_CAMERA_NAMES = ("intrinsic_color", "extrinsic_color", "intrinsic_depth", "extrinsic_depth")

_VERSION = 4
_COLOUR_CODES = {0: "raw", 1: "png", 2: "jpeg"}
_DEPTH_CODES = {0: "raw_ushort", 1: "zlib_ushort", 2: "occi_ushort"}
_MILLIMETRES = 1000.0
_LONGEST_NAME, _LARGEST_SIDE, _MOST_FRAMES = 4096, 8192, 200_000
# Bytes a pixel and besides, which no code of colour or depth reaches.
_COLOUR_BYTES, _DEPTH_BYTES, _CODE_BYTES = 6, 4, 65_536

_START, _NAME_LENGTH = struct.Struct("<I"), struct.Struct("<Q")
_CAMERAS = struct.Struct("<64f")
# Two compressions; width and height of colour, then of depth; depth units a metre; number of frames.
_PICTURES = struct.Struct("<ii4IfQ")
# Pose; two time stamps; bytes of colour and of depth.
_FRAME = struct.Struct("<16f4Q")


@dataclass(frozen=True)
class SensFrame:
    """Where a frame's codes lie in the file (bytes), and its camera-to-world pose (inf where tracking was lost)."""

    number: int
    cam_to_world: Float[np.ndarray, "4 4"]
    start: int
    colour_bytes: int
    depth_bytes: int


@dataclass(frozen=True)
class SensFile:
    """A recording; sizes are (height, width), `cameras` holds 4x4 matrices by the names of their files."""

    path: Path
    cameras: dict[str, Float[np.ndarray, "4 4"]]
    colour_size: tuple[int, int]
    depth_size: tuple[int, int]
    frames: tuple[SensFrame, ...]


def open_sens(path: Path) -> SensFile:
    """Read the header and where every frame lies; the codes of the pictures are passed over.

    Raises:
        UserError: no such file, another format or version, unknown compression, impossible sizes, or a file that
            ends before its last frame does.
    """
    require_file(path, "a .sens recording", "download it again")
    with path.open("rb") as stream:
        source = _Source(path, stream, path.stat().st_size)
        cameras = _read_start(source)
        colour_size, depth_size, count = _read_picture_header(source)
        most = [_COLOUR_BYTES * _area(colour_size) + _CODE_BYTES, _DEPTH_BYTES * _area(depth_size) + _CODE_BYTES]
        frames = tuple(_read_frame(source, number, count, most) for number in range(count))
    return SensFile(path, cameras, colour_size, depth_size, frames)


def read_codes(sens: SensFile, frames: Sequence[SensFrame]) -> Iterator[tuple[SensFrame, bytes, bytes]]:
    """The codes of colour and depth of some frames, read one frame at a time."""
    with sens.path.open("rb") as stream:
        source = _Source(sens.path, stream, sens.path.stat().st_size)
        for frame in frames:
            source.skip_to(frame.start)
            what = f"frame {frame.number}"
            yield frame, source.take(frame.colour_bytes, what), source.take(frame.depth_bytes, what)


def unpack_depth(sens: SensFile, frame: SensFrame, code: bytes) -> UInt16[np.ndarray, "height width"]:
    """Millimetres along the camera axis, 0 where unknown."""
    expected = 2 * _area(sens.depth_size)
    unpacker = zlib.decompressobj()
    try:
        # One byte more than there should be tells a code that goes on from one that ends.
        content = unpacker.decompress(code, expected + 1)
        found = f"{len(content)}{' or more' if len(content) > expected else ''}"
    except zlib.error as error:
        content, found = b"", f"a code that cannot be unpacked ({error})"
    if len(content) != expected:
        raise UserError(
            f"{sens.path}, frame {frame.number}: expected {expected} bytes of depth, found {found}; download it again"
        )
    return np.frombuffer(content, "<u2").reshape(sens.depth_size)


@dataclass(frozen=True)
class _Source:
    """A file that is read in order and never beyond its end."""

    path: Path
    stream: BinaryIO
    length: int

    def take(self, size: int, what: str) -> bytes:
        content = self.stream.read(size) if size <= self.length - self.stream.tell() else b""
        if len(content) != size:
            self.refuse(f"{size} bytes of {what} at byte {self.stream.tell()}", f"a file of {self.length} bytes")
        return content

    def numbers(self, form: struct.Struct, what: str) -> tuple[Any, ...]:
        return form.unpack(self.take(form.size, what))

    def skip_to(self, place: int) -> None:
        self.stream.seek(place)

    def refuse(self, expected: str, found: str) -> NoReturn:
        raise UserError(f"{self.path}: expected {expected}, found {found}; download it again")


def _read_start(source: _Source) -> dict[str, Float[np.ndarray, "4 4"]]:
    (version,) = source.numbers(_START, "version")
    if version != _VERSION:
        source.refuse(f"a .sens recording of version {_VERSION}", f"version {version}")
    (length,) = source.numbers(_NAME_LENGTH, "length of the sensor's name")
    if length > _LONGEST_NAME:
        source.refuse(f"a sensor's name of at most {_LONGEST_NAME} bytes", f"{length}")
    source.take(length, "sensor's name")
    matrices = np.array(source.numbers(_CAMERAS, "cameras"), np.float32).reshape(4, 4, 4)
    return dict(zip(_CAMERA_NAMES, matrices, strict=True))


def _read_picture_header(source: _Source) -> tuple[tuple[int, int], tuple[int, int], int]:
    colour, depth, *sides, shift, count = source.numbers(_PICTURES, "picture sizes")
    for what, code, known, wanted in (
        ("colour", colour, _COLOUR_CODES, "jpeg"),
        ("depth", depth, _DEPTH_CODES, "zlib_ushort"),
    ):
        if known.get(code) != wanted:
            source.refuse(f"{what} compressed as {wanted}", f"{known.get(code, 'unknown')} (code {code})")
    if not all(1 <= side <= _LARGEST_SIDE for side in sides):
        source.refuse(f"picture sides of 1 to {_LARGEST_SIDE} pixels", f"{sides}")
    if shift != _MILLIMETRES:
        source.refuse("depth in millimetres (1000 a metre)", f"{shift} a metre")
    if not 1 <= count <= _MOST_FRAMES:
        source.refuse(f"1 to {_MOST_FRAMES} frames", f"{count}")
    return (sides[1], sides[0]), (sides[3], sides[2]), count


def _read_frame(source: _Source, number: int, count: int, most: list[int]) -> SensFrame:
    *pose, _, _, colour_bytes, depth_bytes = source.numbers(_FRAME, f"frame {number} of {count}")
    sizes = [colour_bytes, depth_bytes]
    if not all(1 <= size <= limit for size, limit in zip(sizes, most, strict=True)):
        source.refuse(f"1 to {most} bytes of colour and depth in frame {number} of {count}", f"{sizes}")
    start = source.stream.tell()
    end = start + sum(sizes)
    if end > source.length:
        source.refuse(f"{count} frames, the file to reach byte {end} for frame {number}", f"{source.length} bytes")
    source.skip_to(end)
    return SensFrame(number, np.array(pose, np.float32).reshape(4, 4), start, colour_bytes, depth_bytes)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
