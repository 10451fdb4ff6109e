"""Chunks follow the memory budget, shrink when memory runs out, and change nothing in the picture."""

import logging
from typing import Any

import pytest
import torch
from golden_files import assert_close
from tiny_model import FAR, NEAR, cameras, example, model, one, rays_of

from gpnerf.benchmark.memory import peak_bytes
from gpnerf.models import ray_renderer
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.rendering import Chunking, render_view
from gpnerf.structures import ImageOutput, Wanted


def render(network: GPNeRF, chunking: Chunking | None = None) -> ImageOutput:
    with torch.no_grad():
        maps = network.encode_sources(example().sources)
    return render_view(network, maps, one(cameras(1, 9, 13), 0), NEAR, FAR, chunking=chunking)


def fail_above(network: GPNeRF, limit: int, error: RuntimeError, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the renderer run out of memory at more than `limit` rays; the list fills with the sizes it was asked for."""
    asked, forward = [], network.renderer.forward

    def limited(rays: Any, *args: Any) -> Any:
        asked.append(len(rays.origins))
        if len(rays.origins) > limit:
            raise error
        return forward(rays, *args)

    monkeypatch.setattr(network.renderer, "forward", limited)
    return asked


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
    ids=["GPU", "CPU"],
)
def test_running_out_of_memory_halves_the_chunk_and_leaves_no_trace_in_the_picture(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network, chunking = model(), Chunking(rays=30)
    whole = render(network)
    asked = fail_above(network, 10, error, monkeypatch)
    with caplog.at_level(logging.WARNING):
        picture = render(network, chunking)
    for name in ("rgb", "depth", "features", "logits"):
        assert_close(getattr(picture, name), getattr(whole, name), 5e-5)
    assert asked[:3] == [30, 15, 7] and max(asked[2:]) == 7
    assert chunking.rays == 7, "the next picture starts with what fitted"
    assert [record.message.split(":")[0] for record in caplog.records] == ["out of memory"] * 2


def test_one_ray_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = model()
    fail_above(network, 0, torch.OutOfMemoryError("CUDA out of memory"), monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        render(network, Chunking(rays=3))


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network = model()
    asked = fail_above(network, 0, RuntimeError("shapes do not fit"), monkeypatch)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        render(network, Chunking(rays=8))
    assert asked == [8]


def test_the_chunk_follows_the_budget() -> None:
    network = model()
    small, large = Chunking(memory_budget=0.001).size(network, 2), Chunking(memory_budget=0.01).size(network, 2)
    assert large == pytest.approx(10 * small, rel=0.2) and small > 1
    assert Chunking(memory_budget=0.01).size(network, 8) < large
    assert Chunking(rays=5, memory_budget=100.0).size(network, 2) == 5
    assert Chunking(memory_budget=0.0).size(network, 2) == 1


@pytest.mark.parametrize("plain", [False, True])
def test_a_chunk_takes_no_more_memory_than_its_budget(plain: bool) -> None:
    """Rendering as one block (as on a GPU), the tensors alive at once stay within what a ray is said to take."""
    network = model(netwidth=32, samples=32, importance=16, plain=plain)
    given = example(6)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_renderer, "_CACHED_BYTES", 10**12)
        maps = network.encode_sources(given.sources)
        rays = rays_of(given, 200)
        taken = peak_bytes(lambda: network.renderer(rays, maps, NEAR, FAR, Wanted(True)), torch.device("cpu"))
    estimated = 200 * network.renderer.bytes_per_ray(6)
    assert 0.4 * estimated < taken < 1.2 * estimated
