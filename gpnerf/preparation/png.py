"""16-bit grey PNG, compressed by Intel's ISA-L: three times as fast as OpenCV's for depth, in files of its size."""

import struct
import zlib

import numpy as np
from isal import isal_zlib
from jaxtyping import UInt16

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_16_BITS = (16, 0, 0, 0, 0)  # bits, colour type, compression, filters, interlacing
_UP = 2  # the filter: each byte less the one above it


def encode_map(values: UInt16[np.ndarray, "height width"]) -> bytes:
    """The content of a PNG file that holds these numbers (ISO/IEC 15948)."""
    height, width = values.shape
    rows = values.astype(">u2").view(np.uint8)
    filtered = np.empty((height, 1 + 2 * width), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">II5B", width, height, *_GREY_16_BITS)
    parts = ((b"IHDR", header), (b"IDAT", isal_zlib.compress(filtered, 1)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
