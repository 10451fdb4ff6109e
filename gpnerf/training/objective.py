"""Which losses a step's outputs are given, and with which weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gpnerf import losses
from gpnerf.losses import Assignment, Negative
from gpnerf.models.gpnerf import StepOutput
from gpnerf.structures import Compat, Example, RayOutput, Rays

# The published loss adds the head's loss for the coarse and for the fine pass, which share one prediction.
_SEMANTIC_COUNTS = 2


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; one of 0 leaves its term out."""

    colour: float
    semantic: float
    distillation: float
    depth: float
    instance: float = 0.0

    @property
    def head(self) -> bool:
        """Whether the perception head learns."""
        return self.semantic > 0 or self.instance > 0


@dataclass(frozen=True)
class Objective:
    """The weighted terms of the training loss (paper, section 3.4).

    Args:
        ignore: label that is not scored.
        n_p: half window of the depth-guided loss, in samples.
        negative: what happens to samples away from the depth peak.
        compat: `release` keeps the released program's forms.
        assignment: which channel learns an instance.
    """

    weights: LossWeights
    ignore: int
    n_p: int
    negative: Negative
    compat: Compat
    assignment: Assignment = "hungarian"

    @property
    def wants_semantics(self) -> bool:
        """Whether any term looks at semantic features or logits."""
        return self.weights.head or self.weights.distillation > 0

    @property
    def wants_guidance(self) -> bool:
        """Whether the semantic features of every sample are compared with the reference."""
        return self.weights.distillation > 0

    def terms(self, output: StepOutput, example: Example, rays: Rays) -> dict[str, Tensor]:
        """Named terms, already weighted; their sum is the loss."""
        terms = self._colour(output, example, rays)
        if self.weights.semantic and example.target.labels is not None:
            terms |= self._semantic(output, example.target.labels, rays)
        if self.weights.instance and output.logits is not None:
            terms |= self._instance(output.logits, example.target.instances)
        if self.weights.distillation and output.reference is not None:
            terms |= self._distillation(output.last, output.reference)
        if self.weights.depth and example.target.depth is not None:
            terms |= self._depth(output, example, rays)
        return terms

    def _colour(self, output: StepOutput, example: Example, rays: Rays) -> dict[str, Tensor]:
        u, v = rays.pixels.unbind(-1)
        truth = example.target.image[:, v, u].T
        return {
            f"colour_{name}": self.weights.colour * losses.colour_loss(each.rgb, truth)
            for name, each in _passes(output).items()
        }

    def _semantic(self, output: StepOutput, labels: Tensor, rays: Rays) -> dict[str, Tensor]:
        if output.logits is not None:
            loss = losses.segmentation_loss(output.logits, labels, self.ignore, self.compat)
            return {"semantic": self.weights.semantic * _SEMANTIC_COUNTS * loss}
        u, v = rays.pixels.unbind(-1)
        return {
            f"semantic_{name}": self.weights.semantic
            * losses.segmentation_loss(each.logits, labels[v, u], self.ignore, self.compat)
            for name, each in _passes(output).items()
            if each.logits is not None
        }

    def _instance(self, logits: Tensor, instances: Tensor | None) -> dict[str, Tensor]:
        """The last of the logits belongs to no instance. Without a truth the term is 0 with zero gradients, since
        processes exchange one of every parameter."""
        if instances is None:
            instances = torch.full(logits.shape[1:], -1, device=logits.device)
        loss = losses.instance_loss(logits[:-1], instances, self.assignment)
        return {"instance": self.weights.instance * _SEMANTIC_COUNTS * loss}

    def _distillation(self, last: RayOutput, reference: Tensor) -> dict[str, Tensor]:
        assert last.features is not None and last.guidance is not None
        guided = losses.depth_guided_loss(last.guidance, last.weights, self.n_p, self.negative, self.compat)
        return {
            "distillation": self.weights.distillation * losses.distillation_loss(last.features, reference),
            "depth_guided": self.weights.distillation * guided,
        }

    def _depth(self, output: StepOutput, example: Example, rays: Rays) -> dict[str, Tensor]:
        u, v = rays.pixels.unbind(-1)
        truth = example.target.depth[v, u]  # type: ignore[index]
        return {
            f"depth_{name}": self.weights.depth * losses.depth_loss(each.depth, truth, example.near, example.far)
            for name, each in _passes(output).items()
        }


def _passes(output: StepOutput) -> dict[str, RayOutput]:
    return {"coarse": output.coarse} if output.fine is None else {"coarse": output.coarse, "fine": output.fine}
