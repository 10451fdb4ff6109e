"""Objects whose tensors share one block of memory: from process to process every block is a connection of its own."""

import io
import math
import pickle
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

_ALIGNMENT = 16  # bytes; every element size divides it


@dataclass(frozen=True)
class Packed:
    """An object pickled without its tensors, and the bytes of all of them in shared memory."""

    skeleton: bytes
    block: UInt8[Tensor, "bytes"]


def pack(item: Any) -> Packed:
    """Copy the tensors (dense, on the CPU) that an object holds into one block of shared memory."""
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(item)
    block = torch.empty(pickler.size, dtype=torch.uint8).share_memory_()
    for tensor, start in pickler.tensors:
        _view(block, tensor.dtype, tensor.shape, start).copy_(tensor)
    return Packed(stream.getvalue(), block)


def unpack(packed: Packed) -> Any:
    """The object again; its tensors are views of the block."""
    return _Unpickler(packed).load()


class _Pickler(pickle.Pickler):
    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.tensors: list[tuple[Tensor, int]] = []
        self.size = 0

    def persistent_id(self, item: Any) -> tuple[torch.dtype, tuple[int, ...], int] | None:
        if not isinstance(item, Tensor):
            return None
        start = self.size
        self.tensors.append((item, start))
        self.size += math.ceil(item.numel() * item.element_size() / _ALIGNMENT) * _ALIGNMENT
        return item.dtype, tuple(item.shape), start


class _Unpickler(pickle.Unpickler):
    def __init__(self, packed: Packed) -> None:
        super().__init__(io.BytesIO(packed.skeleton))
        self.block = packed.block

    def persistent_load(self, place: tuple[torch.dtype, tuple[int, ...], int]) -> Tensor:
        return _view(self.block, *place)


def _view(block: UInt8[Tensor, "bytes"], dtype: torch.dtype, shape: tuple[int, ...], start: int) -> Tensor:
    size = math.prod(shape) * dtype.itemsize
    return block[start : start + size].view(dtype).view(shape)
