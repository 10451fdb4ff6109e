"""The terms of the training loss, each a pure function in its plain form; weights and sums belong to the caller."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpnerf.errors import UserError
from gpnerf.geometry import cosine
from gpnerf.matching import assign, pairwise_iou
from gpnerf.structures import Compat

Negative = Literal["anti", "none"]
Assignment = Literal["hungarian", "fixed"]

_DEPTH_BETA = 0.05  # where smooth L1 turns from square to straight, in normalised inverse depth


def colour_loss(predicted: Float[Tensor, "rays 3"], truth: Float[Tensor, "rays 3"]) -> Float[Tensor, ""]:
    """Squared error, summed over the channels and averaged over the rays."""
    return (predicted - truth).square().sum(-1).mean()


def segmentation_loss(
    logits: Float[Tensor, "classes height width"] | Float[Tensor, "rays classes"],
    labels: Int64[Tensor, "height width"] | Int64[Tensor, "rays"],
    ignore: int,
    compat: Compat = "none",
) -> Float[Tensor, ""]:
    """Cross entropy averaged over the pixels whose label is not `ignore`.

    Takes a whole image (classes first) or separate rays (classes last). With nothing to average, `none` gives 0 with
    zero gradients and `release` gives NaN.
    """
    if logits.ndim == 3:
        logits, labels = logits[None], labels[None]
    total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
    count = (labels != ignore).sum()
    return total / (count.clamp(min=1) if compat == "none" else count)


def instance_loss(
    logits: Float[Tensor, "outputs height width"],
    instances: Int64[Tensor, "height width"],
    assignment: Assignment = "hungarian",
) -> Float[Tensor, ""]:
    """Channels as soft masks of the instances in an image, compared one to one (as in DM-NeRF).

    The mean over the pairs of cross entropy and of 1 - soft IoU, plus the mean probability of the channels without a
    partner. `hungarian` pairs each image's instances and channels where that costs least, `fixed` gives instance k
    channel k. The last output is the mask of the pixels without instance (-1); where an image has none of them it
    learns nothing. Pixels whose id is no channel count nowhere; without any other the loss is 0 with zero gradients.
    """
    channels = len(logits) - 1
    known = instances < channels
    if not known.any():
        return 0 * logits.sum()
    inside, labels = logits[:, known], instances[known]
    labels = labels.where(labels >= 0, channels)
    ids = labels.unique()
    truth, masks = (labels == ids[:, None]).to(inside), inside.sigmoid()
    # -g log p - (1 - g) log(1 - p), with p = sigmoid(x), is softplus(x) - g x: finite for every logit.
    entropy = (F.softplus(inside).sum(dim=1) - truth @ inside.T) / len(labels)
    costs = entropy + 1 - pairwise_iou(truth, masks)
    columns = ids
    if assignment == "hungarian":
        if not costs.isfinite().all():
            return costs.sum()  # which is not finite either: there is nothing to assign, and the step will be refused
        objects = int((ids < channels).sum())
        columns = torch.cat([assign(costs[:objects, :channels])[1], ids[objects:]])
    alone = torch.ones(len(logits), dtype=torch.bool, device=logits.device).index_fill(0, columns, False)[:channels]
    unmatched = masks[:channels][alone].mean() if alone.any() else 0 * masks.sum()
    return costs[torch.arange(len(columns), device=logits.device), columns].mean() + unmatched


def distillation_loss(
    rendered: Float[Tensor, "rays channels"], reference: Float[Tensor, "rays channels"]
) -> Float[Tensor, ""]:
    """Self-distillation: mean over the rays of 1 - cos(reference, rendered); no gradient to the reference."""
    return (1 - cosine(rendered, reference.detach())).mean()


def depth_guided_window(
    weights: Float[Tensor, "rays samples"], n_p: int, compat: Compat = "none"
) -> Bool[Tensor, "rays samples"]:
    """The 2 n_p + 1 samples around the heaviest one of each ray.

    Near an end of the ray `none` moves the whole window inside; `release` shifts the peak by a sequence of rules that
    does not always suffice, and then wraps the window around to the other end.
    Raises UserError if the window is longer than the ray.
    """
    samples = weights.shape[1]
    if samples < 2 * n_p + 1:
        raise UserError(
            f"depth-guided loss: a window of --n_p {n_p} needs at least {2 * n_p + 1} samples a ray, found {samples}; "
            "lower n_p or raise N_samples"
        )
    peak = weights.detach().argmax(dim=1)
    peak = peak.clamp(n_p, samples - 1 - n_p) if compat == "none" else _shift_peak(peak, n_p, samples - 1)
    offsets = torch.arange(-n_p, n_p + 1, device=weights.device)
    columns = (peak[:, None] + offsets) % samples
    return torch.zeros_like(weights, dtype=torch.bool).scatter(1, columns, True)


def depth_guided_loss(
    guidance: Float[Tensor, "rays samples"],
    weights: Float[Tensor, "rays samples"],
    n_p: int,
    negative: Negative = "anti",
    compat: Compat = "none",
) -> Float[Tensor, ""]:
    """Depth-guided distillation: samples near the surface should look like the reference, the others should not.

    `guidance` is the cosine of each sample's semantic features with the ray's reference. 1 - cos inside the window
    around the heaviest sample; outside it max(0, cos) with `anti` (paper figure 4) and 0 with `none` or in the
    released form. The mean is over all rays and samples. No gradient to the weights.
    """
    repulsive = negative == "anti" and compat == "none"
    outside = guidance.clamp(min=0) if repulsive else torch.zeros_like(guidance)
    return torch.where(depth_guided_window(weights, n_p, compat), 1 - guidance, outside).mean()


def depth_loss(
    predicted: Float[Tensor, "rays"], truth: Float[Tensor, "rays"], near: float, far: float
) -> Float[Tensor, ""]:
    """Smooth L1 of normalised inverse depths, averaged over the rays with depth; depths in metres, 0 where unknown.

    Without any depth it is 0 with zero gradients.
    """
    known = truth > 0
    # Unknown depth takes a harmless value first: a NaN behind `where` would still reach the gradient.
    target = _inverse_depth(torch.where(known, truth, far), near, far)
    error = F.smooth_l1_loss(_inverse_depth(predicted, near, far), target, reduction="none", beta=_DEPTH_BETA)
    return torch.where(known, error, 0).sum() / known.sum().clamp(min=1)


def photometric_loss(
    weights: Float[Tensor, "rays samples"], mismatch: Float[Tensor, "rays samples"]
) -> Float[Tensor, ""]:
    """Mean over the rays of the mismatch (`training.photometric`) that is expected under their weights.

    The rendered colour says next to nothing about the weights, which are the attention of one of many samples; this
    does. No gradient to the mismatch.
    """
    return (weights * mismatch.detach()).sum(dim=1).mean()


def _shift_peak(peak: Int64[Tensor, "rays"], n_p: int, last: int) -> Int64[Tensor, "rays"]:
    """The released way to keep a window inside the ray: each move sees the result of the moves before it."""
    for i in range(1, n_p + 1):
        for index, moved in ((last, last - i), (last - i, last - i - 1), (i, i + 1), (0, i)):
            peak = torch.where(peak == index, moved, peak)
    return peak


def _inverse_depth(depth: Float[Tensor, "rays"], near: float, far: float) -> Float[Tensor, "rays"]:
    """(1 / near - 1 / d) / (1 / near - 1 / far) in [0, 1]; d is clamped first, so that d <= 0 has a finite gradient."""
    return (1 / near - 1 / depth.clamp(near, far)) / (1 / near - 1 / far)
