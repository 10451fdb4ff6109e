"""Says once what readers do to the pictures of a scene that a user may not expect."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpnerf.data.images import PictureHeader, read_header
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

_READERS = 16


def read_headers(paths: Sequence[Path]) -> dict[Path, PictureHeader]:
    """The headers of pictures; one that cannot be read is passed over, as reading the picture will say so."""
    with ThreadPoolExecutor(_READERS) as readers:  # which wait for a distant disk side by side
        return {path: header for path, header in zip(paths, readers.map(_header, paths), strict=True) if header}


def note_pictures(where: Path, headers: Mapping[Path, PictureHeader]) -> None:
    """One warning if a picture has transparency, and one if EXIF asks to turn one; each names the first."""
    if clear := [path for path, header in headers.items() if header.has_alpha]:
        logger.warning("%s: pictures with transparency, such as %s; it is shown on white", where, clear[0])
    if turned := [path for path, header in headers.items() if header.is_turned]:
        logger.warning(
            "%s: pictures that EXIF asks to turn, such as %s; pixels are taken as stored, to which poses refer (COLMAP "
            "reads them so); if yours belong to upright pictures, turn the pixels and find the poses again",
            where,
            turned[0],
        )


def _header(path: Path) -> PictureHeader | None:
    try:
        return read_header(path)
    except UserError:
        return None
