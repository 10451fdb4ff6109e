"""The compiled layer computes what the layer does, for every block of rays, and is done without where it cannot be."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import example, model, rays_of
from torch import Tensor

from gpnerf.assembly.execution import place
from gpnerf.config import parse
from gpnerf.models.compilation import CompiledLayer
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.structures import RayOutput, Wanted

ROOT = Path(__file__).parent.parent
# A process of its own: there no type checker stands between the compiler and the functions. It has a compiler or none.
CHILD = [sys.executable, __file__]


def rendered(compiled: bool, gradients: bool, **changes: Any) -> tuple[GPNeRF, RayOutput]:
    network, given = model(**changes), example()
    if compiled:
        network.renderer.layer = CompiledLayer()
    with torch.no_grad():
        maps = network.encode_sources(given.sources)
    with torch.set_grad_enabled(gradients):
        coarse, fine = network.renderer(rays_of(given, 5), maps, given.near, given.far, Wanted(True, field=True))
        output = fine or coarse
        if gradients:
            assert output.features is not None and output.field is not None
            values = (output.rgb, output.depth, output.features, output.field)
            sum((value.sin().sum() for value in values), torch.zeros(())).backward()
    return network, output


def compare(gradients: bool) -> None:
    """Outputs within 1e-5, gradients within 1e-4 of the larger of their norm and 1e-4 of the largest."""
    (plain, expected), (compiled, found) = (rendered(each, gradients, importance=0) for each in (False, True))
    for name in ("rgb", "depth", "weights", "features", "field"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-5)
    pairs = [
        (p.grad, q.grad)
        for p, q in zip(plain.renderer.parameters(), compiled.renderer.parameters(), strict=True)
        if p.grad is not None and q.grad is not None
    ]
    assert bool(pairs) == gradients
    largest = max((float(p.norm()) for p, _ in pairs), default=0.0)
    for p, q in pairs:
        assert float((p - q).norm()) <= 1e-4 * max(float(p.norm()), 1e-4 * largest)


def run_child(environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    given = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PYTHONPATH": path} | environment
    return subprocess.run(CHILD, env=given, capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_compiled_layers_equal_the_others_in_values_and_gradients(tmp_path: Path) -> None:
    result = run_child({}, tmp_path)
    assert "graphs 4" in result.stdout, result.stderr  # with and without position MLP, with and without gradients
    assert "uncompiled" not in result.stderr


@pytest.mark.slow
def test_without_a_compiler_one_line_is_logged_and_the_numbers_are_the_same(tmp_path: Path) -> None:
    result = run_child({"CXX": str(tmp_path / "missing")}, tmp_path)
    lines = [line for line in result.stderr.splitlines() if "--compile: going on uncompiled" in line]
    assert len(lines) == 2  # one for each of two models
    assert "No working C++ compiler" in lines[0]


class Compiled:
    """Stands for what `torch.compile` gives; notes the calls, and fails as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.sizes: list[int] = []
        self.error = error
        monkeypatch.setattr(torch, "compile", self.make)

    def make(self, function: Any, dynamic: bool) -> Any:
        def run(*arguments: Any) -> tuple[Tensor, ...]:
            assert not dynamic
            self.sizes.append(arguments[5].start.shape[1])
            if self.error:
                raise self.error
            return function(*arguments)

        return run


def test_a_smaller_last_block_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = Compiled(monkeypatch)
    monkeypatch.setattr("gpnerf.models.ray_renderer._CACHED_BYTES", 4 * 16 * 2 * 9 * 2)  # blocks of two rays
    expected, found = (rendered(each, gradients=False)[1] for each in (False, True))
    assert torch.equal(found.rgb, expected.rgb)
    assert set(compiled.sizes) == {2}  # of blocks of 2, 2 and 1 rays


def test_a_failed_compilation_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import torch._dynamo

    compiled = Compiled(monkeypatch, torch._dynamo.exc.TorchDynamoException("no\nway"))
    expected, found = (rendered(each, gradients=True)[1] for each in (False, True))
    assert torch.equal(found.rgb, expected.rgb)
    assert len(compiled.sizes) == 1
    assert caplog.messages == ["--compile: going on uncompiled: no way"]


def test_memory_that_runs_out_is_no_failed_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    Compiled(monkeypatch, torch.OutOfMemoryError("out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        rendered(True, gradients=False)


def test_the_flag_compiles_the_layer_and_nothing_else_does() -> None:
    for flags, expected in (["--compile"], True), ([], False):
        placed = place(model(), parse(flags), torch.device("cpu"))
        assert isinstance(placed.renderer.layer, CompiledLayer) == expected


if __name__ == "__main__":
    import torch._dynamo

    logging.basicConfig(level=logging.WARNING)
    for with_gradients in (False, True):
        compare(with_gradients)
    sys.stdout.write(f"graphs {torch._dynamo.utils.counters['stats']['unique_graphs']}")
