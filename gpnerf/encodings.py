"""Encoded source views kept from one target to the next, since neighbouring targets share most of them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.projection import SourceMaps
from gpnerf.structures import Cameras, SourceViews

_GIGABYTE = 10**9


class Encodings:
    """Encodes the frames of one scene with fixed weights, each once while it fits, least recently used out first.

    Args:
        model: the trained model.
        capacity: how much to keep, in GB.
    """

    def __init__(self, model: GPNeRF, capacity: float) -> None:
        self.model = model
        self.capacity = capacity * _GIGABYTE
        self.size = 0
        self._frames: OrderedDict[int, SourceMaps] = OrderedDict()

    @torch.no_grad()
    def encode(self, frames: Sequence[int], sources: SourceViews) -> SourceMaps:
        """What rendering needs to know of source views; `frames` are their numbers in the scene.

        Frames are encoded one by one, so that a view's numbers do not depend on which others were kept.
        """
        every = [self._frame(frame, _single(sources, view)) for view, frame in enumerate(frames)]
        self._forget()
        first = every[0]
        return replace(
            first,
            cameras=sources.cameras,
            images=sources.images,
            colour=torch.cat([maps.colour for maps in every]),
            semantic=_pixelwise([maps.semantic for maps in every if maps.semantic is not None]),
            fine_colour=None if first.fine_colour is None else torch.cat([maps.fine_colour for maps in every]),  # type: ignore[misc]
        )

    def _frame(self, frame: int, source: SourceViews) -> SourceMaps:
        if frame not in self._frames:
            self._frames[frame] = self.model.encode_sources(source)
            self.size += _bytes(self._frames[frame])
        self._frames.move_to_end(frame)
        return self._frames[frame]

    def _forget(self) -> None:
        while self.size > self.capacity and self._frames:
            self.size -= _bytes(self._frames.popitem(last=False)[1])


def _single(sources: SourceViews, view: int) -> SourceViews:
    cameras, one = sources.cameras, slice(view, view + 1)
    camera = Cameras(cameras.intrinsics[one], cameras.cam_to_world[one], cameras.height, cameras.width)
    return SourceViews(camera, sources.images[one])


def _pixelwise(maps: list[Tensor]) -> Tensor | None:
    """Maps joined with all channels of a pixel together in memory, as rendering reads them."""
    return torch.cat(maps).contiguous(memory_format=torch.channels_last) if maps else None


def _bytes(maps: SourceMaps) -> int:
    kept = (maps.colour, maps.semantic, maps.fine_colour, maps.images)
    return sum(x.numel() * x.element_size() for x in kept if x is not None)
