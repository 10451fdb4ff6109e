"""The PNG encoder of depth: two other libraries read back what it was given."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from gpnerf.preparation.png import encode_map


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_what_is_encoded_is_read_back(values: np.ndarray) -> None:
    code = encode_map(values)
    assert np.array_equal(cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_UNCHANGED), values)
    with Image.open(io.BytesIO(code)) as picture:
        assert picture.format == "PNG" and np.array_equal(np.asarray(picture), values)


@pytest.mark.parametrize("step", [1, 2])
def test_parts_of_larger_arrays_and_small_files(step: int) -> None:
    depth = np.add.outer(np.arange(240, dtype=np.uint16), 2 * np.arange(320, dtype=np.uint16))[::step, ::step]
    code = encode_map(depth)
    assert np.array_equal(cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_UNCHANGED), depth)
    assert len(code) < depth.nbytes / 10
