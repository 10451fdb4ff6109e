"""Instances in an evaluation: what a scene's channels stand for, and the scores of a view."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.data.scene import Scene
from gpnerf.matching import assign
from gpnerf.metrics.instances import average_precisions, match_instances, without_small
from gpnerf.models.gpnerf import GPNeRF

Scores = dict[str, float | None]

# Frames that tell what a channel stands for: so many, spread over those of training, tell as much as all of them.
_FRAMES = 50
_SHARED = ("ap50", "ap75")  # precisions that are told of large instances and of the real image's features too
_RECALL_THRESHOLD = 0.5


@torch.no_grad()
def channel_objects(
    model: GPNeRF, scene: Scene, frames: Sequence[int], device: torch.device
) -> Int64[Tensor, "channels"]:
    """The instance that each channel of the head stands for: one for each, the same in every view.

    By the overlap over training frames (by place) of where a channel is the likeliest on the real image, and where
    the instance is.
    """
    assert scene.instance_map is not None, "instances are asked of a scene that has them"
    count = len(scene.instance_map.ids)
    shared = torch.zeros(count, count)
    for index in frames[:: -(-len(frames) // _FRAMES)]:
        truth = scene.channels(index)
        if truth is None:
            continue
        features = model.encode_semantics(scene.image(index).to(device))
        winner = model.segment(features, *truth.shape)[:-1].argmax(dim=0).cpu()
        known = (truth >= 0) & (truth < count)
        pairs = winner[known] * count + truth[known]
        shared += torch.bincount(pairs, minlength=count**2).reshape(count, count)
    union = shared.sum(dim=1)[:, None] + shared.sum(dim=0) - shared
    return assign(-shared / union.clamp(min=1))[1]


def predicted_instances(
    logits: Float[Tensor, "outputs height width"], objects: Int64[Tensor, "channels"]
) -> Int64[Tensor, "height width"]:
    """The likeliest instance of every pixel; the last output is none's."""
    return objects[logits[:-1].argmax(dim=0)]


def instance_scores(
    logits: Float[Tensor, "outputs height width"],
    query: Float[Tensor, "outputs height width"],
    truth: Int64[Tensor, "height width"],
) -> Scores:
    """Scores of a view, and of the head on the real image's features (`query`), which is the ceiling."""
    scores = _scores(logits, truth)
    ceiling = _scores(query, truth)
    shared = [name for name in ceiling if name.startswith(_SHARED) or name.startswith("recall")]
    return scores | {f"{name}_query": ceiling[name] for name in shared}


def _scores(logits: Tensor, truth: Tensor) -> Scores:
    probabilities = logits.softmax(dim=0)[:-1]
    every = match_instances(probabilities, truth)
    large = average_precisions(match_instances(probabilities, without_small(truth)))
    return {
        **average_precisions(every),
        **{f"{name}_large": large[name] for name in _SHARED},
        "recall50_small": every.small_recall(_RECALL_THRESHOLD),
    }
