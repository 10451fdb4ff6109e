"""Damaged files of every kind end in one clear line or are read: no traceback, no endless wait, no flood of memory.

`FUZZ=2000 python -m pytest tests/test_fuzz.py` tries as many other inputs of each kind; without it they are always the
same ones.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bounds import bounded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import KINDS

from gpnerf.errors import UserError

MORE = int(os.environ.get("FUZZ", 0))
# What stands in the place of a word or number of a text; the second half is what JSON and TOML read.
WORDS = (
    *("nan", "inf", "-inf", "1e999", "-1", "0", "1e-320", "9" * 20, "9" * 5000, "x", "../..", "/etc", "~", "-0", "0.5"),
    *('"../x"', '"/etc/passwd"', '""', "null", "true", "[]", "{}", "[[[[", '"\\ud800"', '{"a": 1}', "[null]", "'"),
)
TEXTS = (".json", ".txt", ".tsv", ".toml", ".sha256")
Edit = Callable[[bytearray], None]


def place(data: bytearray, share: float) -> int:
    return int(share * len(data))


def flipped(share: float, value: int) -> Edit:
    def edit(data: bytearray) -> None:
        if data:
            data[min(place(data, share), len(data) - 1)] ^= value

    return edit


def cut(share: float) -> Edit:
    return lambda data: data.__delitem__(slice(place(data, share), None))


def put(share: float, what: bytes) -> Edit:
    def edit(data: bytearray) -> None:
        at = place(data, share)
        data[at : at + len(what)] = what

    return edit


def grown(share: float, what: bytes) -> Edit:
    return lambda data: data.__setitem__(slice(place(data, share), place(data, share)), what)


def moved(start: float, length: int, goal: float) -> Edit:
    def edit(data: bytearray) -> None:
        taken = data[place(data, start) :][:length]
        at = place(data, goal)
        data[at:at] = taken

    return edit


def worded(share: float, word: str) -> Edit:
    """Replaces the word at a place of a text."""

    def edit(data: bytearray) -> None:
        marks = b" \t\r\n,[]{}:"
        start = end = min(place(data, share), max(0, len(data) - 1))
        while start > 0 and data[start - 1] not in marks:
            start -= 1
        while end < len(data) and data[end] not in marks:
            end += 1
        data[start:end] = word.encode()

    return edit


SHARES = st.floats(0, 1, exclude_max=True)
STARTS = SHARES | st.floats(0, 0.02)  # where headers are
LARGE = st.sampled_from([b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f", b"\x80" + b"\0" * 7, b"\0\0\0\x80"])
BINARY = (
    st.builds(flipped, STARTS, st.integers(1, 255))
    | st.builds(cut, SHARES)
    | st.builds(put, STARTS, LARGE | st.binary(min_size=1, max_size=9))
    | st.builds(grown, STARTS, st.binary(min_size=1, max_size=40))
    | st.builds(moved, SHARES, st.integers(1, 200), SHARES)
)
TEXT = st.builds(worded, SHARES, st.sampled_from(WORDS)) | BINARY


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_one_clear_line(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = KINDS[name].write(tmp_path_factory.mktemp("fuzz"))
    whole = path.read_bytes()

    @settings(
        max_examples=MORE or 25,
        derandomize=not MORE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(TEXT if path.suffix in TEXTS else BINARY, min_size=1, max_size=4))
    def damage(edits: list[Edit]) -> None:
        data = bytearray(whole)
        for edit in edits:
            edit(data)
        path.write_bytes(data)
        _read(name, path)

    damage()


def _read(name: str, path: Path) -> None:
    message = ""
    with bounded():
        try:
            KINDS[name].read(path)
        except UserError as error:
            message = str(error)
    assert "\n" not in message and len(message) < 2000
    assert not (message and KINDS[name].spared)
