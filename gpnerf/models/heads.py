"""The perception head: Semantic FPN over a (rendered or real) feature map."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_LEVELS = 4
_COARSEST = 2 ** (_LEVELS - 1)


class PerceptionHead(nn.Module):
    """Decodes a half-resolution feature map to logits at full resolution.

    The channels are four chunks, one per pyramid level; chunk k is shrunk by 2^k, refined and brought back up,
    the four are summed and classified.

    Args:
        channels: channels of the feature map (a multiple of four).
        width: channels inside the head.
        outputs: logits per pixel.
    """

    def __init__(self, channels: int, width: int, outputs: int) -> None:
        super().__init__()
        chunk = channels // _LEVELS
        self.scales = nn.ModuleList(_scale(chunk, width, level) for level in range(_LEVELS))
        self.predictor = nn.Conv2d(width, outputs, 1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)

    def forward(
        self, features: Float[Tensor, "images channels rows cols"]
    ) -> Float[Tensor, "images outputs height width"]:
        """Logits at twice the map's size. Sizes that are no multiple of 8 are padded (replicate) and cropped."""
        rows, cols = features.shape[-2:]
        padded = F.pad(features, (0, -cols % _COARSEST, 0, -rows % _COARSEST), mode="replicate")
        decoded = 0
        for level, (scale, chunk) in enumerate(zip(self.scales, padded.chunk(_LEVELS, dim=1), strict=True)):
            size = (padded.shape[-2] // 2**level, padded.shape[-1] // 2**level)
            shrunk = F.interpolate(chunk, size=size, mode="bilinear", align_corners=True) if level else chunk
            decoded = decoded + scale(shrunk)
        logits = F.interpolate(self.predictor(decoded), scale_factor=2, mode="bilinear", align_corners=True)
        return logits[..., : 2 * rows, : 2 * cols]


def _scale(inputs: int, width: int, level: int) -> nn.Sequential:
    """One block for the finest level, otherwise `level` blocks that each double the size."""
    layers: list[nn.Module] = []
    for block in range(max(level, 1)):
        layers.append(_Block(inputs if block == 0 else width, width))
        if level:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


class _Block(nn.Sequential):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.GroupNorm(min(32, width), width), nn.ReLU()
        )
