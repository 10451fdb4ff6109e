"""The matrix product that the Triton kernels share. Importing this module imports Triton."""

from typing import no_type_check

import triton
import triton.language as tl

# Triton's interpreter would multiply the bit patterns of bfloat16 numbers.
_INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))


@triton.jit
@no_type_check
def dot(left, right):
    """Product of two matrices of one type, summed in float32 (and float32 matrices not rounded to TF32)."""
    if _INTERPRETED:
        left = left.to(tl.float32)
        right = right.to(tl.float32)
    return tl.dot(left, right, input_precision="ieee")
