"""The `.sens` reader on recordings of rooms: exact, within bounded memory, and clear about what is wrong."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sens_writer import COLOUR, DEPTH, FRAMES, intrinsics, sens_bytes, shots

from gpnerf.errors import UserError
from gpnerf.preparation.sens import open_sens, read_codes, unpack_depth

HEADER = 4 + 8 + 3 + 4 * 64 + 36  # bytes before the first frame
POSE = 64


def written(folder: Path, content: bytes) -> Path:
    path = folder / "scene.sens"
    path.write_bytes(content)
    return path


def read_everything(path: Path) -> list[np.ndarray]:
    sens = open_sens(path)
    return [unpack_depth(sens, frame, depth) for frame, _, depth in read_codes(sens, sens.frames)]


def message_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_everything(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    return str(caught.value)


def test_a_recording_comes_back_as_it_was_written(tmp_path: Path) -> None:
    sens = open_sens(written(tmp_path, sens_bytes(shots())))
    assert (sens.colour_size, sens.depth_size, len(sens.frames)) == (COLOUR, DEPTH, FRAMES)
    assert np.array_equal(sens.cameras["intrinsic_color"], intrinsics(COLOUR))
    assert np.array_equal(sens.cameras["intrinsic_depth"], intrinsics(DEPTH))
    assert np.array_equal(sens.cameras["extrinsic_depth"], np.eye(4))
    for (frame, colour, depth), shot in zip(read_codes(sens, sens.frames), shots(), strict=True):
        assert np.array_equal(frame.cam_to_world, shot.pose)
        assert colour == shot.jpeg
        assert np.array_equal(unpack_depth(sens, frame, depth), shot.depth)


@given(st.lists(st.integers(0, FRAMES - 1), max_size=8))
def test_any_frames_in_any_order(tmp_path_factory: pytest.TempPathFactory, wanted: list[int]) -> None:
    sens = open_sens(written(tmp_path_factory.getbasetemp(), sens_bytes(shots())))
    read = list(read_codes(sens, [sens.frames[k] for k in wanted]))
    assert [frame.number for frame, _, _ in read] == wanted
    assert [colour for _, colour, _ in read] == [shots()[k].jpeg for k in wanted]


FAULTS: list[tuple[Callable[[], bytes], list[str]]] = [
    (lambda: sens_bytes(shots(), version=3), ["version 4", "found version 3"]),
    (lambda: b"<!DOCTYPE html>" * 9, ["version 4", "found version 1329865020"]),
    (lambda: b"", ["4 bytes of version", "a file of 0 bytes"]),
    (lambda: sens_bytes(shots(), codes=(7, 1)), ["colour in a code from -1 to 2", "found 7"]),
    (lambda: sens_bytes(shots(), codes=(2, -9)), ["depth in a code from -1 to 2", "found -9"]),
    (lambda: sens_bytes(shots(), width=0), ["picture sides of 1 to 8192", "[0, 64, 40, 32]"]),
    (lambda: sens_bytes(shots(), height=2**32 - 1), ["picture sides of 1 to 8192", "4294967295"]),
    (lambda: sens_bytes(shots(), shift=0.0), ["depth units a metre", "found 0.0"]),
    (lambda: sens_bytes(shots(), shift=float("nan")), ["depth units a metre", "found nan"]),
    (lambda: sens_bytes(shots(), count=0), ["1 to 200000 frames", "found 0"]),
    (lambda: sens_bytes(shots(), count=2**63), ["1 to 200000 frames", str(2**63)]),
    (lambda: sens_bytes(shots(), count=FRAMES + 1), [f"frame {FRAMES} of {FRAMES + 1}"]),
    (lambda: sens_bytes(shots(), name=2**40), ["sensor's name of at most 4096", str(2**40)]),
    (lambda: sens_bytes(shots())[:100], ["bytes of cameras", "a file of 100 bytes"]),
    (lambda: sens_bytes(shots())[: HEADER + 50], [f"frame 0 of {FRAMES}", f"a file of {HEADER + 50} bytes"]),
    (lambda: sens_bytes(shots())[:-20], [f"frame {FRAMES - 1}", "bytes"]),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_faults_are_one_clear_line(tmp_path: Path, number: int) -> None:
    content, words = FAULTS[number]
    message = message_of(written(tmp_path, content()))
    assert all(word in message for word in [*words, "download it again"]), message


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ((2, 2), ["depth as raw_ushort or zlib_ushort", "occi_ushort (code 2)"]),
        ((2, -1), ["depth as raw_ushort or zlib_ushort", "none (code -1)"]),
        ((-1, 1), ["colour as raw or png or jpeg", "none (code -1)"]),
    ],
)
def test_what_the_format_allows_and_is_not_read_is_named(
    tmp_path: Path, codes: tuple[int, int], words: list[str]
) -> None:
    """To download it again would not help."""
    message = message_of(written(tmp_path, sens_bytes(shots(), codes=codes)))
    assert all(word in message for word in [*words, "convert it"]) and "again" not in message, message


def test_raw_depth_is_the_packed_one(tmp_path: Path) -> None:
    for read, shot in zip(read_everything(written(tmp_path, sens_bytes(shots(), codes=(2, 0)))), shots(), strict=True):
        assert np.array_equal(read, shot.depth)


@pytest.mark.parametrize("shift", [250.0, 1000.0, 5000.0])
def test_depth_is_in_millimetres_whatever_the_recording_counts_in(tmp_path: Path, shift: float) -> None:
    metres = [np.linspace(0, 65_535 / shift, shots()[0].depth.size) for _ in range(2)]
    recorded = [replace(shots()[k], depth=np.round(metres[k] * shift).reshape(DEPTH)) for k in range(2)]
    for read, exact in zip(read_everything(written(tmp_path, sens_bytes(recorded, shift=shift))), metres, strict=True):
        near = exact < 65.5
        assert np.abs(read.ravel() - 1000 * exact)[near].max() <= 0.5 + 500 / shift
        assert not read.ravel()[exact > 65.54].any()


def test_a_missing_recording(tmp_path: Path) -> None:
    assert "no such file" in message_of(tmp_path / "scene.sens")


def with_sizes(colour: int, depth: int) -> bytes:
    content = bytearray(sens_bytes(shots()))
    content[HEADER + POSE + 16 : HEADER + POSE + 32] = struct.pack("<QQ", colour, depth)
    return bytes(content)


@pytest.mark.parametrize("sizes", [(2**63, 5), (10**6, 5), (5, 10**9), (2**64 - 1, 1)])
def test_sizes_of_codes_are_not_believed(tmp_path: Path, sizes: tuple[int, int]) -> None:
    message = message_of(written(tmp_path, with_sizes(*sizes)))
    assert "colour and depth in frame 0" in message and str(list(sizes)) in message


@pytest.mark.parametrize("extra", [-2, 2, 50_000_000])
def test_depth_of_another_size_is_refused_without_unpacking_it(tmp_path: Path, extra: int) -> None:
    """Also a few kB that would unpack to 50 MB."""
    wrong = np.zeros(shots()[1].depth.size + extra // 2, np.uint16)[None]
    content = sens_bytes([shots()[0], replace(shots()[1], depth=wrong)])
    path = written(tmp_path, content)
    tracemalloc.start()
    message = message_of(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "frame 1" in message and f"expected {2 * DEPTH[0] * DEPTH[1]} bytes of depth" in message
    assert peak < 10**6


def test_depth_that_cannot_be_unpacked(tmp_path: Path) -> None:
    code = zlib.compress(shots()[0].depth.tobytes())
    content = sens_bytes(shots()).replace(code, b"\xff" * len(code))
    assert "frame 0" in (message := message_of(written(tmp_path, content))) and "cannot be unpacked" in message


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A small recording, cut, with bytes replaced by others or by the numbers that break readers."""
    content = bytearray(sens_bytes(shots()[:2]))
    frames = HEADER + POSE + 40  # favour what is read as numbers over pixels
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.one_of(st.integers(0, frames), st.integers(0, len(content) - 1)))
        number = draw(st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]))
        new = draw(st.one_of(st.binary(min_size=1, max_size=9), st.just(struct.pack("<Q", number))))
        content[place : place + len(new)] = new
    return bytes(content[: draw(st.one_of(st.none(), st.integers(0, len(content))))])


@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(damaged(), st.binary(max_size=500), st.binary(max_size=400).map(lambda rest: b"\4\0\0\0" + rest)))
def test_no_content_brings_the_reader_down(tmp_path: Path, content: bytes) -> None:
    """Depth of the stated size or a clear line; never more memory than the largest picture that may be stated."""
    path = written(tmp_path, content)
    tracemalloc.start()
    try:
        message = str(path)
        read_everything(path)
    except UserError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert str(path) in message and "\n" not in message
    assert peak < 5 * 10**6
