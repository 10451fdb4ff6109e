"""Instances in an evaluation: what a scene's channels stand for, and the scores of a view."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.data.scene import Scene
from gpnerf.matching import assign
from gpnerf.metrics.detection import Detections
from gpnerf.metrics.instances import average_precisions, match_instances, without_small
from gpnerf.models.gpnerf import GPNeRF

Scores = dict[str, float | None]

# Frames that tell what a channel stands for: so many, spread over those of training, tell as much as all of them.
_FRAMES = 50
_SHARED = ("ap50", "ap75")  # precisions that are told of large instances and of the real image's features too
_RECALL_THRESHOLD = 0.5


@dataclass(frozen=True)
class ChannelObjects:
    """The instance that each channel of the instance head stands for; whether the last output stands for none."""

    ids: Int64[Tensor, "channels"]
    has_none: bool

    def likeliest(self, logits: Float[Tensor, "outputs height width"]) -> Int64[Tensor, "height width"]:
        """The likeliest instance of every pixel, -1 where none is likelier."""
        known = torch.cat([self.ids, torch.tensor([-1])]) if self.has_none else self.ids
        return known[logits[: len(known)].argmax(dim=0)]

    def likeliest_thing(self, logits: Float[Tensor, "outputs height width"]) -> Int64[Tensor, "height width"]:
        """The likeliest instance of every pixel that has one."""
        return self.ids[logits[: len(self.ids)].argmax(dim=0)]

    def scores(
        self,
        logits: Float[Tensor, "outputs height width"],
        query: Float[Tensor, "outputs height width"],
        truth: Int64[Tensor, "height width"],
    ) -> Scores:
        """Scores of a view, and of the head on the real image's features (`query`), which is the ceiling."""
        scores, ceiling = self._scores(logits, truth), self._scores(query, truth)
        shared = [name for name in ceiling if name.startswith(_SHARED) or name.startswith("recall")]
        return scores | {f"{name}_query": ceiling[name] for name in shared}

    def detections(
        self, logits: Float[Tensor, "outputs height width"], truth: Int64[Tensor, "height width"]
    ) -> Detections:
        """What a view adds to the average precision of all views as one."""
        probabilities, none = self._probabilities(logits)
        return Detections.of(probabilities, truth, none)

    def _scores(self, logits: Tensor, truth: Tensor) -> Scores:
        probabilities, none = self._probabilities(logits)
        every = match_instances(probabilities, truth, none)
        large = average_precisions(match_instances(probabilities, without_small(truth), none))
        return {
            **average_precisions(every),
            **{f"{name}_large": large[name] for name in _SHARED},
            "recall50_small": every.small_recall(_RECALL_THRESHOLD),
        }

    def _probabilities(self, logits: Tensor) -> tuple[Tensor, int | None]:
        """Of every channel that stands for something, and which of them stands for none."""
        channels = len(self.ids)
        return logits.softmax(dim=0)[: channels + self.has_none], channels if self.has_none else None


@torch.no_grad()
def channel_objects(model: GPNeRF, scene: Scene, frames: Sequence[int], device: torch.device) -> ChannelObjects:
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
        logits = model.segment(model.encode_semantics(scene.image(index).to(device)), *truth.shape)[1]
        assert logits is not None, "instances are asked of a model that tells them apart"
        winner = logits[:-1].argmax(dim=0).cpu()
        known = (truth >= 0) & (truth < count)
        pairs = winner[known] * count + truth[known]
        shared += torch.bincount(pairs, minlength=count**2).reshape(count, count)
    union = shared.sum(dim=1)[:, None] + shared.sum(dim=0) - shared
    return ChannelObjects(assign(-shared / union.clamp(min=1))[1], scene.instance_map.none is not None)
