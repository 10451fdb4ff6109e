"""A pipe, device, socket, folder or other text in place of any file: one clear line with its name, at once."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from bounds import bounded
from readers import KINDS

from gpnerf.errors import UserError


def put_socket(path: Path) -> None:
    place = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(place)


ODD: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": put_socket,
    "no such file": lambda path: path.symlink_to("nowhere"),
    "a loop": lambda path: path.symlink_to(path.name),
    "other text": lambda path: path.write_bytes(b"\xff\xfe\x00\xd8 none of it is UTF-8 \x80\x81"),
    "nothing": lambda path: path.write_bytes(b""),
}


SPECIAL = ("a named pipe", "a folder", "a device", "a socket")
# An empty config sets nothing, and a video without a description is a new one.
WHOLE = {("config", "nothing"), ("frames.json", "no such file"), ("frames.json", "a loop")}


def _scene(path: Path) -> Path:
    """What a message names where the file counts as absent."""
    return path.parents[2] if path.parents[1].name == "sparse" else path.parent


def fault_of(name: str, path: Path) -> str | None:
    try:
        KINDS[name].read(path)
    except UserError as error:
        return str(error)
    return None


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = KINDS[request.param].write(tmp_path_factory.mktemp("odd"))
    with bounded():
        KINDS[request.param].read(path)
    return request.param, path


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_such_file_is_named_at_once(kind: tuple[str, Path], odd: str) -> None:
    name, path = kind
    whole = path.with_name("whole")
    path.rename(whole)
    try:
        ODD[odd](path)
        with bounded():
            message = fault_of(name, path)
        if KINDS[name].spared or (name, odd) in WHOLE:
            assert message is None
        elif path.stem != "points3D" or message is not None:  # a model may come without points
            assert message is not None and "\n" not in message and len(message) < 600
            assert path.name in message or str(_scene(path)) in message
            assert odd not in SPECIAL or odd in message
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        whole.rename(path)
