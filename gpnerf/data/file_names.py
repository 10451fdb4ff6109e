"""Names of numbered files: which frame each belongs to, in whatever case and with or without leading zeros."""

import logging
import re
from collections.abc import Iterable, Sequence

import numpy as np

logger = logging.getLogger(__name__)

_NAMED = 5  # names that a message holds
# Endings of files that somebody may have meant to be read.
_PICTURES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".heic", ".avif", ".ppm", ".pgm"),
    *(".exr", ".hdr", ".pfm", ".npy", ".npz"),
)


def frames_by_name(names: Iterable[str], prefix: str, endings: Sequence[str], where: object) -> dict[int, str]:
    """Frame number -> name, of the names `<prefix><number><ending>`; others are passed over.

    Of several files of a frame that of the ending listed first is taken, then the shortest name. One warning, which
    `where` opens, names what is left aside so, and another the pictures of endings that are not listed.
    """
    pattern = re.compile(re.escape(prefix) + r"([0-9]{1,18})(\.[A-Za-z0-9]+)")
    numbered = [(int(match[1]), match[2].lower(), name) for name in names if (match := pattern.fullmatch(name))]
    ranked = sorted((n, endings.index(end), len(name), name) for n, end, name in numbered if end in endings)
    found: dict[int, str] = {}
    for number, _, _, name in ranked:
        found.setdefault(number, name)
    others = [name for number, _, _, name in ranked if found[number] != name]
    if others:
        logger.warning("%s: several files for a frame; %d are left aside: %s", where, len(others), _some(others))
    unread = [name for _, end, name in sorted(numbered) if end not in endings and end in _PICTURES]
    if unread:
        expected = " or ".join(endings)
        logger.warning("%s: %d files are not read, only %s are: %s", where, len(unread), expected, _some(unread))
    return found


def recorded_frames(pictures: Iterable[int], poses: Iterable[int]) -> list[int]:
    """The numbers of all frames of a recording, ascending: those of a picture, and those of a pose that lost theirs.

    Where only every n-th picture was exported, poses of frames between them have lost nothing and are no frames.
    """
    there = set(pictures)
    numbers = np.array(sorted(there))
    step = int(np.gcd.reduce(np.diff(numbers))) or 1
    return sorted({*there, *(number for number in poses if number % step == numbers[0] % step)})


def warn_without_picture(where: object, frames: Sequence[int]) -> None:
    """One warning if there are frames whose pose is known and whose picture is not there."""
    if frames:
        found = _some([str(number) for number in frames])
        logger.warning("%s: %d frames have a pose and no picture: %s", where, len(frames), found)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
