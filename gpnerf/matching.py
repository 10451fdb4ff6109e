"""One-to-one assignment of predicted masks to true ones, and the overlap that it goes by."""

import torch
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_SMALLEST_UNION = 1e-6  # pixels; two empty masks overlap by 0


def assign(costs: Float[Tensor, "rows columns"]) -> tuple[Int64[Tensor, "pairs"], Int64[Tensor, "pairs"]]:
    """The pairs (row, column) of least total cost, each row and column in one pair at most; rows ascend.

    The Hungarian method; there are as many pairs as the smaller side allows. The indices lie on the costs' device.

    Raises:
        ValueError: a cost is not finite.
    """
    rows, columns = linear_sum_assignment(costs.detach().double().cpu().numpy())
    return torch.from_numpy(rows).to(costs.device), torch.from_numpy(columns).to(costs.device)


def pairwise_iou(
    truth: Float[Tensor, "objects pixels"], predicted: Float[Tensor, "channels pixels"]
) -> Float[Tensor, "objects channels"]:
    """Soft intersection over union of every true mask with every predicted one, both with values in [0, 1]."""
    shared = truth @ predicted.T
    union = truth.sum(dim=1)[:, None] + predicted.sum(dim=1) - shared
    return shared / (union + _SMALLEST_UNION)
