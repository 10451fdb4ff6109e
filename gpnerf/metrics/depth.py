"""Errors of a rendered depth map against the measured one."""

from jaxtyping import Float
from torch import Tensor

_DELTA1 = 1.25


def depth_scores(
    predicted: Float[Tensor, "height width"], truth: Float[Tensor, "height width"]
) -> dict[str, float | None]:
    """Mean relative error, root mean square error (metres) and share of pixels within a factor of 1.25.

    Depths in metres; pixels whose truth is 0 (unknown) do not count. All three are None where no pixel counts.
    """
    known = truth > 0
    if not known.any():
        return {"depth_abs_rel": None, "depth_rmse": None, "depth_delta1": None}
    predicted, truth = predicted[known].double(), truth[known].double()
    error = predicted - truth
    close = (predicted < _DELTA1 * truth) & (truth < _DELTA1 * predicted)
    return {
        "depth_abs_rel": float((error.abs() / truth).mean()),
        "depth_rmse": float(error.square().mean().sqrt()),
        "depth_delta1": float(close.double().mean()),
    }
