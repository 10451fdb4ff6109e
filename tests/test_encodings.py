"""Kept encodings are those that encoding anew would give, and stay within their bound."""

from typing import Any

import pytest
import torch
from tiny_model import example, model
from torch import Tensor

from gpnerf.encodings import Encodings
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.structures import SourceViews

pytestmark = pytest.mark.usefixtures("float64")


def counted(network: GPNeRF, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The photos that are encoded from now on."""
    seen: list[Tensor] = []
    encode = network.encode_sources

    def counting(sources: SourceViews) -> Any:
        seen.extend(sources.images)
        return encode(sources)

    monkeypatch.setattr(network, "encode_sources", counting)
    return seen


@pytest.mark.parametrize("changes", [{}, {"fine_features": 8}, {"semantic_model": "fc"}])
def test_kept_encodings_equal_new_ones(changes: dict[str, Any]) -> None:
    network, sources = model(**changes), example(4).sources
    encodings = Encodings(network, 1.0)
    encodings.encode((1, 2, 3, 4), sources)
    kept = encodings.encode((1, 2, 3, 4), sources)
    with torch.no_grad():
        new = network.encode_sources(sources)
    for name in ("images", "colour", "semantic", "fine_colour"):
        a, b = getattr(kept, name), getattr(new, name)
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, rtol=1e-9, atol=1e-9)
    assert torch.equal(kept.cameras.cam_to_world, sources.cameras.cam_to_world)


def test_a_frame_is_encoded_once_while_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    network, sources = model(), example(3).sources
    seen = counted(network, monkeypatch)
    encodings = Encodings(network, 1.0)
    first = encodings.encode((7, 8, 9), sources)
    again = encodings.encode((7, 8, 9), sources)
    assert len(seen) == 3
    assert torch.equal(first.colour, again.colour)
    assert again.semantic is not None and again.semantic.is_contiguous(memory_format=torch.channels_last)


def test_frames_beyond_the_bound_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    network, sources = model(), example(2).sources
    encodings = Encodings(network, 1.0)
    encodings.encode((0, 1), sources)
    encodings.capacity = encodings.size  # room for two frames
    seen = counted(network, monkeypatch)
    encodings.encode((2, 1), sources)
    assert len(seen) == 1, "frame 1 was there"
    encodings.encode((0, 2), sources)
    assert len(seen) == 2, "frame 0 had made room, frame 2 had not"
    assert encodings.size <= encodings.capacity


def test_nothing_is_kept_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    network, sources = model(), example(2).sources
    seen = counted(network, monkeypatch)
    encodings = Encodings(network, 0.0)
    for _ in range(2):
        encodings.encode((0, 1), sources)
    assert len(seen) == 4 and encodings.size == 0
