"""Bad ScanNet downloads: named in one line, and nothing half written is left."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from sens_writer import FRAMES, png, sens_bytes, shots, write_archive, write_scan

from gpnerf.errors import UserError
from gpnerf.preparation.scannet import ScanOptions, prepare_scan

NAME = "scene0000_00"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scan(tmp_path_factory.mktemp("scans"))


def prepare(scan: Path, out: Path, **options: object) -> dict[str, object]:
    return dict(prepare_scan(scan, out, ScanOptions(**options), Event()))


def change_sens(scan: Path, content: bytes) -> None:
    (scan / f"{NAME}.sens").write_bytes(content)


def change_labels(scan: Path, content: bytes) -> None:
    write_archive(scan / f"{NAME}_2d-label-filt.zip", [(f"label-filt/{k}.png", content) for k in range(FRAMES)])


def huge_png() -> bytes:
    """40 bytes that state 100000x100000 pixels."""
    code = bytearray(png(shots()[0].labels))
    code[16:24] = (100_000).to_bytes(4, "big") * 2
    return bytes(code)


SCAN_FAULTS: list[tuple[Callable[[Path], object], list[str]]] = [
    (lambda scan: (scan / f"{NAME}.sens").unlink(), [".sens", "no such file"]),
    (lambda scan: (scan / f"{NAME}_2d-instance-filt.zip").unlink(), ["_2d-instance-filt.zip", "no such file"]),
    (lambda scan: (scan / f"{NAME}_2d-label-filt.zip").write_bytes(b"PK\3\4nothing"), ["whole zip archive"]),
    (lambda scan: change_sens(scan, sens_bytes(shots(), version=2)), ["version 4", "found version 2"]),
    (lambda scan: change_sens(scan, sens_bytes(shots())[:-900]), ["frame 5", "bytes"]),
    (lambda scan: change_sens(scan, sens_bytes(shots(), codes=(2, 2))), ["zlib_ushort", "found occi_ushort"]),
    (lambda scan: change_sens(scan, sens_bytes(shots(), width=96)), ["expected 40x32 or 96x64 pixels, found 80x64"]),
    (
        lambda scan: change_sens(scan, sens_bytes([*shots()[:1], replace(shots()[1], jpeg=b"GIF89a" * 9)])),
        ["frame 1", "expected a JPEG picture"],
    ),
    (lambda scan: change_labels(scan, shots()[0].jpeg), ["label-filt/0.png", "expected a PNG picture"]),
    (lambda scan: change_labels(scan, png(shots()[0].labels[:9])), ["expected 40x32 or 80x64 pixels, found 80x9"]),
    (lambda scan: change_labels(scan, huge_png()), ["label-filt/0.png"]),
    (lambda scan: change_labels(scan, bytes(10**6)), ["expected at most", "found 1000000"]),
    (
        lambda scan: write_archive(scan / f"{NAME}_2d-label-filt.zip", [("label/0.png", png(shots()[0].labels))]),
        ["expected label-filt/N.png", "found none"],
    ),
]


@pytest.mark.parametrize("number", range(len(SCAN_FAULTS)))
def test_a_bad_scan_is_named_and_leaves_nothing(scan: Path, tmp_path: Path, number: int) -> None:
    change, words = SCAN_FAULTS[number]
    copy = shutil.copytree(scan, tmp_path / NAME)
    change(copy)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError) as caught:
        prepare(copy, tmp_path / "out")
    message = str(caught.value)
    assert all(word in message for word in [*words, str(copy)]) and "\n" not in message, message
    assert list((tmp_path / "out").iterdir()) == []


def test_colour_of_another_size_than_stated_is_refused(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scans")
    change_sens(scan, sens_bytes(shots(), width=96))
    with pytest.raises(UserError, match="frame 0: expected 96x64 pixels, found 80x64"):
        prepare(scan, tmp_path / "out", maps=())
