"""Instance ids of a scene as channels of the head: the same object is the same channel in every frame."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

# The raw id that means no instance; DM-NeRF's preparation of Replica has none.
NO_INSTANCE: dict[str, int | None] = {
    "scannet": 0,
    "rooms": 0,
    "posed_images": 0,
    "replica": 0,
    "replica_dm": None,
}


@dataclass(frozen=True)
class InstanceMap:
    """The instances that a scene's training frames show: the k-th of `ids` (raw, ascending) is channel k.

    `none` is the raw id that means no instance, where the data has one.
    """

    ids: tuple[int, ...]
    none: int | None

    @property
    def names(self) -> tuple[str, ...]:
        """What each channel stands for."""
        return tuple(f"instance {raw}" for raw in self.ids)

    def to_channels(self, raw: Int64[Tensor, "height width"]) -> Int64[Tensor, "height width"]:
        """The channel of every pixel, -1 for none; an id that no training frame shows is its own number beyond all."""
        ids = torch.tensor(self.ids)
        place = torch.searchsorted(ids, raw).clamp(max=len(ids) - 1)
        channels = torch.where(ids[place] == raw, place, len(ids) + raw)
        return channels if self.none is None else torch.where(raw == self.none, -1, channels)

    def to_raw(self, channels: Int64[Tensor, "height width"]) -> Int64[Tensor, "height width"]:
        """The raw ids of channels 0 .. len(ids) - 1, and of none (-1) where the data has such an id."""
        return torch.tensor([*self.ids, -1 if self.none is None else self.none])[channels]
