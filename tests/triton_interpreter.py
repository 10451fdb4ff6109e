"""Runs tests of Triton kernels in a process of their own, where Triton interprets kernels on the CPU.

The choice is made when a kernel is defined, so a process that also uses compiled kernels cannot make it.
"""

import functools
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
import torch

from gpnerf.models.ops import kernels

needs_triton = pytest.mark.skipif(not kernels.triton_found(), reason="Triton is not installed")
on_every_device = pytest.mark.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])


def interpreted(test: Callable[..., None]) -> Callable[..., None]:
    """The test, run under the interpreter unless its argument `device` is a GPU."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        if arguments["device"] == "cuda" or os.environ.get("TRITON_INTERPRET") == "1":
            test(**arguments)
        else:
            _submit(run, arguments)

    return run


def _submit(run: Callable[..., None], arguments: dict[str, Any]) -> None:
    try:
        _process().submit(run, **arguments).result()
    except BrokenProcessPool:  # it was ended from outside while it waited; one that a kernel ends fails again
        _process.cache_clear()
        _process().submit(run, **arguments).result()


@functools.cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare)


def _prepare() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    torch.set_num_threads(1)
    _make_tensors_indices()


def _make_tensors_indices() -> None:
    """Let a kernel count up to a number it is given: Triton 3.6 asks for `int` of an array, which NumPy 2.4 refuses."""
    from triton.runtime import interpreter

    patch = interpreter._patch_lang_tensor  # called before every kernel

    def patched(tensor: type, *scope: Any) -> None:
        patch(tensor, *scope)
        tensor.__index__ = lambda self: self.handle.data.item()  # type: ignore[attr-defined]

    interpreter._patch_lang_tensor = patched


def agree(plain: list[torch.Tensor], fast: list[torch.Tensor], bound: float) -> None:
    """Both lists hold the same, within `bound` of each tensor's largest entry (of 1 if that is larger)."""
    for number, (expected, found) in enumerate(zip(plain, fast, strict=True)):
        assert found.shape == expected.shape
        assert bool(found.isfinite().all()), f"tensor {number} is not finite"
        difference = float((found.double() - expected.double()).abs().max())
        scale = max(1.0, float(expected.abs().max()))
        assert difference <= bound * scale, f"tensor {number} differs by {difference}, its largest is {scale}"
