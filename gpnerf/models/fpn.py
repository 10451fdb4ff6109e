"""The feature pyramid that turns the encoder's maps into semantic features at half resolution."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Laterals, top-down sums and output convolutions; the four levels are resized to the finest and concatenated.

    Args:
        channels: channels of the four input maps, finest first.
        width: channels of every level; the output has four times as many.
    """

    def __init__(self, channels: tuple[int, int, int, int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.output = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, pyramid: tuple[Tensor, Tensor, Tensor, Tensor]) -> Float[Tensor, "images channels rows cols"]:
        """Semantic features at the size of the finest map."""
        # Channels last: the renderer reads all channels of a pixel at once (and CPU convolutions are a little faster).
        pixelwise = [x.contiguous(memory_format=torch.channels_last) for x in pyramid]
        levels = [conv(x) for conv, x in zip(self.lateral, pixelwise, strict=True)]
        for finer in range(len(levels) - 2, -1, -1):
            up = F.interpolate(levels[finer + 1], size=levels[finer].shape[-2:], mode="nearest")
            levels[finer] = levels[finer] + up
        size = levels[0].shape[-2:]
        outputs = [conv(x) for conv, x in zip(self.output, levels, strict=True)]
        resized = [F.interpolate(x, size=size, mode="bilinear", align_corners=True) for x in outputs[1:]]
        return torch.cat([outputs[0], *resized], dim=1)
