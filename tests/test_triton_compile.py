"""Every kernel compiles for a GPU that need not be there: the interpreter also runs what the compiler refuses."""

import inspect
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from triton_interpreter import needs_triton

pytestmark = [
    needs_triton,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="kernels are interpreted here, not compiled"),
]

_HOPPER = 90
_TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.bool: "*i1"}


def signature(value: Any, constant: bool) -> str:
    # A launch makes constants of None and of the number one.
    if constant or value is None or value == 1:
        return "constexpr"
    return {int: "i32", float: "fp32"}[type(value)]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Launches compile instead; the names of the kernels that got as far as machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.runtime.jit import JITFunction

    names: list[str] = []

    def compile_only(kernel: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        given = inspect.signature(kernel.fn).bind(*args).arguments
        constants = {param.name for param in kernel.params if param.is_constexpr}
        types = {
            name: _TYPES[value.dtype] if isinstance(value, Tensor) else signature(value, name in constants)
            for name, value in given.items()
        }
        fixed = {name: given[name] for name, kind in types.items() if kind == "constexpr"}
        binary = triton.compile(ASTSource(kernel, types, fixed), GPUTarget("cuda", _HOPPER, 32), options)
        assert len(binary.asm["cubin"]) > 0
        names.append(kernel.__name__)

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(JITFunction, "run", compile_only)
    return names


def leaf(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype, requires_grad=True)


ONE, USUAL = (1, 1, 1), (2, 48, 10)  # rays, samples, views
sizes = pytest.mark.parametrize("shape", [ONE, USUAL])
types = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@sizes
@types
def test_the_gather_compiles(compiled: list[str], shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    from gpnerf.models.ops.triton_gather import gathered_field, weighted_gather

    rays, samples, views = shape
    maps, weights = leaf(views, 4, 5, 512, dtype=dtype), leaf(rays, samples, views, 64)
    for gather in (weighted_gather, gathered_field):
        gather(maps, torch.zeros(views, rays, samples, 2), weights).sum().backward()
    assert compiled == ["_forward", "_backward"] * 2


@sizes
@types
def test_the_view_attention_compiles(compiled: list[str], shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    from gpnerf.models.ops.triton_attention import view_attention

    values, pre = leaf(*shape, 72, dtype=dtype).split([64, 8], dim=-1)
    query, weight = leaf(*shape[:2], 8, dtype=dtype), leaf(64, 8)
    for want in (True, False):
        attended, attention = view_attention(values, pre, query, weight, torch.zeros(shape, dtype=torch.bool), want)
        (attended.sum() if attention is None else attended.sum() + attention.sum()).backward()
    assert compiled == ["_forward", "_backward"] * 2


@types
@pytest.mark.parametrize("samples", [1, 64, 256])
def test_the_ray_attention_compiles(compiled: list[str], samples: int, dtype: torch.dtype) -> None:
    from gpnerf.models.ops.triton_ray_attention import ray_attention

    projected = leaf(2, samples, 3 * 64, dtype=dtype)
    parts = [x.unflatten(-1, (4, 16)).transpose(1, 2) for x in projected.chunk(3, dim=-1)]
    sum(x.float().sum() for x in ray_attention(*parts)).backward()
    assert compiled == ["_forward", "_backward"]


@types
@pytest.mark.parametrize("shape", [(1, 1), (2, 48, 64)])
def test_the_layer_norm_compiles(compiled: list[str], shape: tuple[int, ...], dtype: torch.dtype) -> None:
    from gpnerf.models.ops.triton_norm import layer_norm

    layer_norm(leaf(*shape, dtype=dtype), leaf(shape[-1]), leaf(shape[-1]), 1e-6).sum().backward()
    assert compiled == ["_forward", "_backward"]
