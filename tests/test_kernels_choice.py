"""The renderer computes the same with the Triton kernels as with the PyTorch functions that they stand for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import CLASSES, example, model, rays_of
from torch import Tensor
from triton_interpreter import agree, interpreted, needs_triton, on_every_device

from gpnerf.assembly.execution import choose_kernels
from gpnerf.assembly.model import Architecture
from gpnerf.config import parse
from gpnerf.errors import UserError
from gpnerf.models.ops.torch_kernels import TORCH
from gpnerf.structures import Wanted

WANTED = [Wanted(), Wanted(features=True), Wanted(features=True, field=True)]


def rendered(name: str, device: str, wanted: Wanted, training: bool = False, **changes: Any) -> list[Tensor]:
    """Outputs of both passes and the gradients of their mixture, in a fixed order."""
    network, given = model(samples=3, importance=1, **changes).to(device), example().to(device)
    network.renderer.kernels = choose_kernels(name, torch.device(device))
    network.train(training)
    torch.manual_seed(3)
    with torch.no_grad():
        maps = network.encode_sources(given.sources)
    rays = rays_of(given, count=3)
    passes = network.renderer(rays, maps, given.near, given.far, wanted)
    names = ("rgb", "depth", "weights", "features", "field")
    outputs = [value for each in passes for name in names if (value := getattr(each, name)) is not None]
    sum(value.sin().sum() for value in outputs).backward()
    gradients = [p.grad for p in network.renderer.parameters() if p.grad is not None]
    assert gradients
    return [*(value.detach() for value in outputs), *gradients]


@needs_triton
@interpreted
@on_every_device
@pytest.mark.parametrize("wanted", WANTED, ids=["colour", "features", "field"])
def test_both_sets_render_the_same_with_the_same_gradients(wanted: Wanted, device: str) -> None:
    agree(*(rendered(name, device, wanted) for name in ("torch", "triton")), bound=5e-5)


@needs_triton
@interpreted
@on_every_device
def test_active_dropout_drops_the_same(device: str) -> None:
    results = (rendered(name, device, WANTED[-1], training=True, dropout=0.3) for name in ("torch", "triton"))
    agree(*results, bound=5e-5)


@needs_triton
@pytest.mark.slow
@interpreted
@on_every_device
def test_recomputing_changes_nothing(device: str) -> None:
    agree(*(rendered("triton", device, WANTED[1], recompute=again) for again in (False, True)), bound=5e-5)


def test_triton_on_a_cpu_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(UserError, match="--kernels triton: expected a CUDA device, found cpu") as refused:
        choose_kernels("triton", torch.device("cpu"))
    assert "\n" not in str(refused.value)
    assert choose_kernels("torch", torch.device("cpu")) is TORCH


def test_a_missing_triton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpnerf.models.ops.kernels.triton_found", lambda: False)
    with pytest.raises(UserError, match="Triton is not installed"):
        choose_kernels("triton", torch.device("cuda"))


def test_recompute_reaches_the_renderer_and_older_checkpoints_are_read_without_it(tmp_path: Path) -> None:
    sizes = Architecture.of(parse(["--recompute", "--netwidth", "16", "--encoder_width", "4"]), CLASSES)
    assert sizes.build().renderer.recompute
    older = {name: value for name, value in sizes.to_dict().items() if name != "recompute"}
    assert Architecture.from_dict(older) == replace(sizes, recompute=False)
    for content in (older, older | {"recompute": False}):
        sizes.require_same({"architecture": content}, tmp_path)
