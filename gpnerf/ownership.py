"""Folders that one process at a time writes to: a second one is told who the first is, and a dead one owns nothing."""

import fcntl
import logging
import os
import shutil
import socket
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from gpnerf.errors import UserError

_LOCK = ".lock"
_log = logging.getLogger(__name__)


class Ownership:
    """A folder's lock, held until the object or its process is gone; the operating system sees to the latter."""

    def __init__(self, folder: Path, path: Path) -> None:
        made = not path.parent.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _locked(path, folder)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()} ({Path(sys.argv[0]).name})\n")
            file.flush()
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); choose another folder (--expname, --out)"
            ) from error
        weakref.finalize(self, _release, path, file, made, os.getpid())


def _locked(path: Path, folder: Path) -> TextIO:
    """The lock's file, locked by this process alone."""
    while True:
        file = path.open("a+", encoding="utf-8", errors="replace")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise UserError(
                f"{folder}: expected a folder that no other program writes to, found that {owner} does; wait for "
                "its end, stop it, or choose another folder (--expname, --out)"
            ) from None
        except OSError as error:  # some network disks have no locks
            text = "%s: cannot be locked (%s); start no second program that writes there"
            _log.warning(text, folder, error.strerror)
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # its owner took it away just before it was locked here


def _release(path: Path, file: TextIO, made: bool, owner: int) -> None:
    """Take the lock away, and a folder that was made for it and that nothing else is in."""
    if os.getpid() == owner:  # not where a forked process has a copy
        with suppress(OSError):
            path.unlink()
            if made:
                path.parent.rmdir()
    file.close()


# What this process owns: it may ask again.
_owned: "weakref.WeakValueDictionary[Path, Ownership]" = weakref.WeakValueDictionary()


def own(folder: Path) -> Ownership:
    """Make the folder this process's, for as long as somebody holds what is returned.

    Raises:
        UserError: another process owns it, or it cannot be written to.
    """
    return _own(folder, folder / _LOCK)


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Where to make a folder (or a link) that appears as `folder` when the block ends: whole, and by one process.

    What a block that fails, or was killed earlier, has made is deleted. Errors as in `own`.
    """
    held = _own(folder, folder.with_name(f".{folder.name}{_LOCK}"))
    partial = folder.with_name(f".{folder.name}.partial")
    _remove(partial)
    try:
        yield partial
        if folder.exists():
            raise UserError(f"{folder}: expected a folder that is not there yet, found one; remove it to make it anew")
        partial.rename(folder)
    finally:
        _remove(partial)
        del held


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Inside, the folder is this process's; errors as in `own`."""
    held = own(folder)
    try:
        yield
    finally:
        del held


def _own(folder: Path, lock: Path) -> Ownership:
    place = lock.resolve()
    held = _owned.get(place)
    if held is None:
        _owned[place] = held = Ownership(folder, lock)
    return held


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
