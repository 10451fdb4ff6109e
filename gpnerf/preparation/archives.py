"""Zip archives that came from elsewhere: nothing in them can name a place outside the folder meant for it."""

import contextlib
import errno
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from gpnerf.errors import UserError
from gpnerf.storage import require_file

# The others of zip's ways to pack are unpacked without a limit, and nobody publishes in them.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What the zipfile module raises for damaged, encrypted or otherwise unreadable archives.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError, struct.error)
# What the file system says of places and names that only a damaged or crafted table of contents has.
_IMPOSSIBLE = (errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def file_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The plain files of an archive.

    Raises:
        UserError: a member is a link or another special file, is packed in an unusual way, or its name leads out of
            the folder.
    """
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    for member in members:
        if fault := _fault(member):
            raise UserError(
                f"{path}: expected plain files inside one folder, found {fault}: {member.orig_filename!r}; "
                "nothing was taken from it, download it from its publisher"
            )
    return members


def read_pictures(path: Path, folder: str, frames: Collection[int], largest: int) -> Iterator[tuple[int, bytes]]:
    """Frame number and content of the members `<folder>/<number>.png` whose numbers are wanted, in the archive's order.

    Raises:
        UserError: the archive is missing, damaged or unsafe, names a frame twice, or a picture has more than
            `largest` bytes.
    """
    pattern = re.compile(rf"(?:.*/)?{re.escape(folder)}/([0-9]{{1,9}})\.png")
    with _opened(path) as archive:
        matches = ((member, pattern.fullmatch(member.filename)) for member in file_members(archive, path))
        numbered = [(int(match[1]), member) for member, match in matches if match]
        if len({number for number, _ in numbered}) < len(numbered):
            raise UserError(f"{path}: expected one {folder}/N.png a frame, found a frame twice; download it again")
        for number, member in numbered:
            if number in frames:
                if member.file_size > largest:
                    raise UserError(
                        f"{path}: expected at most {largest} bytes in {member.filename}, found {member.file_size}; "
                        "download it again"
                    )
                with archive.open(member) as source:
                    # One byte more, so that the end is met and the checksum compared; without a number it would
                    # unpack whatever there is before it looks how much there should be.
                    yield number, source.read(member.file_size + 1)


def list_files(path: Path) -> list[str]:
    """The names of an archive's files, checked as in `file_members`."""
    with _opened(path) as archive:
        return [member.filename for member in file_members(archive, path)]


def extract(path: Path, target: Path, place: Callable[[str], PurePosixPath | None]) -> None:
    """Write those files of an archive to a new folder `target` that `place` gives a relative path there.

    Raises:
        UserError: the archive is missing, damaged or unsafe, or needs more room than the disk has.
    """
    with _opened(path) as archive:
        chosen = [(member, place(member.filename)) for member in file_members(archive, path)]
        needed = sum(member.file_size for member, goal in chosen if goal)
        target.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target).free
        if needed > free:
            raise UserError(f"{path}: expected {needed} bytes of free disk to unpack it, found {free}; free some space")
        for member, goal in chosen:
            if goal:
                file = target / goal
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, file.open("xb") as copy:
                    shutil.copyfileobj(source, copy)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    require_file(path, "a zip archive", "download it")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*_UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _IMPOSSIBLE:
            raise
        raise UserError(f"{path}: expected a whole zip archive, found: {error}; download it again") from error


def _fault(member: zipfile.ZipInfo) -> str:
    kind, name = stat.S_IFMT(member.external_attr >> 16), PurePosixPath(member.filename)
    if kind not in (0, stat.S_IFREG):
        return "a link or special file"
    if not member.filename:
        return "a file without a name"
    # `orig_filename` still has what Python cuts off at a zero byte; a backslash or a drive is a path on Windows.
    if name.is_absolute() or ".." in name.parts or any(sign in member.orig_filename for sign in ("\\", "\0", ":")):
        return "a name that leads elsewhere"
    return "" if member.compress_type in _METHODS else "an unusual way of packing"
