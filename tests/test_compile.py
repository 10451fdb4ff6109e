"""The compiled layer computes what the layer does, for every block of rays, and is done without where it cannot be."""

import json
import logging
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_files import assert_gradients_close
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


def compare(gradients: bool, depth: int = 2) -> None:
    """Outputs and gradients of the compiled renderer are those of the other; the first of two layers has an MLP."""
    (plain, expected), (compiled, found) = (
        rendered(each, gradients, importance=0, trans_depth=depth) for each in (False, True)
    )
    for name in ("rgb", "depth", "weights", "features", "field"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-4)
    found_gradients, expected_gradients = (
        {name: parameter.grad for name, parameter in each.renderer.named_parameters() if parameter.grad is not None}
        for each in (compiled, plain)
    )
    assert bool(expected_gradients) == gradients
    if gradients:
        assert_gradients_close(found_gradients, expected_gradients, 1e-3)


def run_child(environment: dict[str, str], tmp_path: Path) -> dict[str, Any]:
    """What the process tells at its end; PyTorch's own warnings differ between versions and are not looked at."""
    path, told = os.pathsep.join([str(ROOT), str(ROOT / "tests")]), tmp_path / "told.json"
    given = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PYTHONPATH": path} | environment
    done = subprocess.run([*CHILD, str(told)], env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(told.read_text())


@pytest.mark.slow
def test_compiled_layers_equal_the_others_in_values_and_gradients(tmp_path: Path) -> None:
    told = run_child({}, tmp_path)
    if not told["compiler"]:
        pytest.skip("torch.compile does not work on this machine")
    assert told["traced"] == 4  # with and without position MLP, with and without gradients
    assert told["said"] == []


@pytest.mark.slow
def test_without_a_compiler_one_line_is_logged_and_the_numbers_are_the_same(tmp_path: Path) -> None:
    told = run_child({"CXX": str(tmp_path / "missing")}, tmp_path)
    assert not told["compiler"] and len(told["said"]) == 1
    assert re.match(r"--compile: going on uncompiled: \w", told["said"][0])


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


class Said(logging.Handler):
    """Keeps what the package logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def compiler_works() -> bool:
    try:
        return bool(torch.compile(lambda x: x.sin() + 1)(torch.zeros(9)).eq(1).all())
    except RuntimeError:  # as PyTorch's compiler fails
        return False


def traced_forms() -> int:
    """Compare every form of the layer as PyTorch traces and splits it, all but the machine code: that takes long."""
    from torch._dynamo.utils import counters

    counters.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager_decomp_partition"))
        for gradients in (False, True):
            compare(gradients)
    return counters["stats"]["unique_graphs"]


if __name__ == "__main__":
    said = Said()
    logging.getLogger("gpnerf").addHandler(said)
    compare(gradients=False, depth=1)
    compiler = not said.lines or compiler_works()
    told = {"compiler": compiler, "traced": traced_forms() if compiler else 0, "said": said.lines}
    Path(sys.argv[1]).write_text(json.dumps(told))
