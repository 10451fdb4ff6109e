"""Files that are read and kept: only regular ones are opened, and what is written is whole or absent."""

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gpnerf.errors import UserError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def require_file(path: Path, expected: str, remedy: str) -> None:
    """Raise `UserError` unless `path` is a regular file, or a link to one: to open a pipe would wait for ever.

    `expected` says what the file should be, `remedy` what to do; both become part of the message.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: expected {expected}, found no such file; {remedy}") from None
    except (OSError, ValueError) as error:  # no rights, a loop of links, a name beyond the system's limits
        raise UserError(f"{path}: expected {expected}, found a fault ({_reason(error)}); {remedy}") from error
    if not stat.S_ISREG(mode):
        found = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise UserError(f"{path}: expected {expected}, found {found}; {remedy}")


def require_no_pipe(path: Path) -> None:
    """Raise `UserError` where a pipe has the name of a file that is added to: to open it would wait for ever."""
    if path.is_fifo() or path.is_socket():
        raise UserError(f"{path}: expected a regular file or none, found a pipe or socket; delete it")


def is_there(path: Path) -> bool:
    """Whether anything has this name, also where the system refuses to look (a name beyond its limits, no rights)."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_bytes(path: Path, expected: str, remedy: str) -> bytes:
    """The content of a regular file; the arguments and the error are those of `require_file`."""
    require_file(path, expected, remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: expected {expected}, found a fault ({_reason(error)}); {remedy}") from error


def read_text(path: Path, expected: str, remedy: str) -> str:
    """The text of a regular file in UTF-8, with or without a byte-order mark; errors as in `require_file`."""
    try:
        return read_bytes(path, expected, remedy).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected {expected}, found a file that is not UTF-8 text; {remedy}") from error


def read_json(path: Path, expected: str, remedy: str) -> dict[str, Any]:
    """The JSON object in a file; errors as in `read_text`, also for another form."""
    try:
        content = json.loads(read_text(path, expected, remedy))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected {expected} (JSON), found a mistake ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected {expected} (a JSON object), found {type(content).__name__}; {remedy}")
    return content


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in one move; errors as in `replaced`."""
    with replaced(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Where to write a file that takes the place of `path` when the block ends: a reader sees the old or the whole new.

    The folder is made if need be. What a block that fails has written is deleted.

    Raises:
        UserError: it cannot be written (full or read-only disk, missing rights, something else of that name).
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)}); free space or choose another folder") from error
    finally:
        with suppress(OSError):
            beside.unlink()


def strict_json(value: Any, indent: int | None = None) -> str:
    """JSON text that any reader takes: numbers that are not finite, which JSON does not have, become null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of bytes, of a text, or of a value that JSON can hold (the order of keys does not count)."""
    if not isinstance(value, bytes):
        value = (value if isinstance(value, str) else json.dumps(value, sort_keys=True)).encode()
    return hashlib.sha256(value).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
