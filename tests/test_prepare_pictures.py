"""Picture files from elsewhere: whatever their bytes are, a size or one clear line."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpnerf.data.images import decode_colour, decode_map, image_size
from gpnerf.errors import UserError
from gpnerf.preparation.pictures import is_larger, keep_picture

SIZE = (6, 8)
WHOLE = {suffix: cv2.imencode(suffix, np.zeros((*SIZE, 3), np.uint8))[1].tobytes() for suffix in (".jpg", ".png")}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    suffix = draw(st.sampled_from(list(WHOLE)))
    content = bytearray(draw(st.sampled_from(list(WHOLE.values()))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.one_of(st.integers(0, 40), st.integers(0, len(content) - 1)))
        new = draw(st.one_of(st.binary(min_size=1, max_size=4), st.just(b"\xff" * 4), st.just(b"\0" * 4)))
        content[place : place + len(new)] = new
    return suffix, bytes(content[: draw(st.one_of(st.none(), st.integers(0, len(content))))])


def refusal_of(call: Callable[[], object]) -> str | None:
    """The one line of a UserError, or None."""
    try:
        call()
    except UserError as error:
        line = str(error)
    else:
        line = None
    assert line is None or "\n" not in line
    return line


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.one_of(damaged(), st.tuples(st.sampled_from(list(WHOLE)), st.binary(max_size=60))))
def test_no_bytes_bring_a_reader_down(tmp_path: Path, file: tuple[str, bytes]) -> None:
    suffix, content = file
    path, kept = tmp_path / f"0{suffix}", tmp_path / f"kept{suffix}"
    path.write_bytes(content)
    kept.unlink(missing_ok=True)
    refusal = refusal_of(lambda: keep_picture(kept, content, [SIZE], "origin"))
    assert refusal is None or refusal.startswith("origin: expected")
    assert bool(refusal) != kept.exists()
    assert not kept.exists() or (kept.read_bytes() == content and image_size(kept) == SIZE)
    refusal = refusal_of(partial(image_size, path))
    assert refusal is None or refusal.startswith(str(path))
    # Larger ones take long to decode; Pillow and OpenCV have limits of their own.
    for read in (decode_colour, decode_map) if refusal is None and np.prod(image_size(path)) < 10**5 else ():
        refusal = refusal_of(partial(read, path))
        assert refusal is None or refusal.startswith(str(path))


@pytest.mark.parametrize("suffix", list(WHOLE))
def test_a_picture_is_kept_byte_for_byte_if_it_has_the_size(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"0{suffix}"
    keep_picture(path, WHOLE[suffix], [(1, 1), SIZE], "origin")
    assert path.read_bytes() == WHOLE[suffix]
    with pytest.raises(UserError, match="origin: expected 6x8 pixels, found 8x6"):
        keep_picture(path, WHOLE[suffix], [SIZE[::-1]], "origin")
    with pytest.raises(UserError, match=r"expected a (PNG|JPEG) picture"):
        keep_picture(path, WHOLE[".png" if suffix == ".jpg" else ".jpg"], [SIZE], "origin")


@pytest.mark.parametrize(
    ("size", "other", "larger"),
    [((4, 4), (4, 4), False), ((5, 4), (4, 4), True), ((4, 5), (4, 4), True), ((5, 3), (4, 4), False)],
)
def test_larger_means_in_no_direction_smaller(size: tuple[int, int], other: tuple[int, int], larger: bool) -> None:
    assert is_larger(size, other) is larger
