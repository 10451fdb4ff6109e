"""Which pixels lie near a border between classes, where a prediction is hardest."""

import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

# Pixels; a border's neighbourhood is a square of twice as many and one more a side.
RADIUS = 3


def near_borders(
    labels: Int64[Tensor, "height width"], ignore: int, radius: int = RADIUS
) -> Int64[Tensor, "height width"]:
    """The labels of pixels within `radius` of a label border, `ignore` everywhere else.

    A pixel is that near if another class lies at most `radius` rows and columns away from it. Where the label is
    `ignore` nothing is known, so there is neither a border nor a pixel to score.
    """
    known = labels != ignore
    # float64 holds any label exactly, and pooling has no integer form on every device.
    values = labels.double()[None]
    largest = _window_maximum(values.masked_fill(~known, -float("inf")), radius)
    smallest = -_window_maximum((-values).masked_fill(~known, -float("inf")), radius)
    return labels.where(known & (largest != smallest)[0], ignore)


def _window_maximum(values: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(values, 2 * radius + 1, stride=1, padding=radius)
