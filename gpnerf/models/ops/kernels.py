"""What the Triton kernels share: whether Triton is installed, and what one launch may hold."""

import importlib.util
import math

import torch
from torch import Tensor

MAX_ELEMENTS = 2**31 - 1  # the kernels count in 32 bits
MIN_DOT = 16  # the smallest side of a matrix that Triton multiplies
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def triton_found() -> bool:
    """Whether Triton can be imported (it is not imported here)."""
    return importlib.util.find_spec("triton") is not None


def check_inputs(**tensors: Tensor) -> None:
    """Refuse numbers that the kernels do not compute with, and tensors that they cannot index.

    Raises ValueError naming the tensor and the number; a smaller chunk of rays mends the latter.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise ValueError(f"{name} is {tensor.dtype}: the kernels compute in float32, bfloat16 or float16")
        # A slice reaches further in memory than it has elements, an expanded tensor has more than it reaches.
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        check_count(name, max(tensor.numel(), 1 + sum((size - 1) * step for size, step in steps)))


def check_count(name: str, *sizes: int) -> None:
    """Refuse a tensor of these sizes if its elements cannot be counted in 32 bits (ValueError with the number)."""
    count = math.prod(sizes)
    if count > MAX_ELEMENTS:
        raise ValueError(
            f"{name} spans {count} elements, at most {MAX_ELEMENTS} fit in one launch: use a smaller chunk"
        )


def check_shape(name: str, tensor: Tensor, *shape: int) -> None:
    """Refuse another shape (ValueError): a kernel would read beyond the tensor without a word."""
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, the other tensors ask for {shape}")
