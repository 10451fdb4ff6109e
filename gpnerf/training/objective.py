"""Which losses a step's outputs are given, and with which weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gpnerf import losses
from gpnerf.losses import Assignment, Negative
from gpnerf.models.gpnerf import StepOutput
from gpnerf.structures import Compat, Example, RayOutput, Rays
from gpnerf.training.photometric import colour_mismatch

# The published loss adds the head's loss for the coarse and for the fine pass, which share one prediction.
_SEMANTIC_COUNTS = 2


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; one of 0 leaves its term out. Without one of its own the depth-guided loss has that of
    distillation.
    """

    colour: float
    semantic: float
    distillation: float
    depth: float
    instance: float = 0.0
    depth_guided: float | None = None
    photometric: float = 0.0

    @property
    def guidance(self) -> float:
        """The weight of the depth-guided loss."""
        return self.distillation if self.depth_guided is None else self.depth_guided

    @property
    def heads(self) -> bool:
        """Whether any perception head learns."""
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
        return self.weights.heads or self.wants_features or self.wants_guidance

    @property
    def wants_features(self) -> bool:
        """Whether the semantic features of rays are compared with the reference."""
        return self.weights.distillation > 0

    @property
    def wants_guidance(self) -> bool:
        """Whether the semantic features of every sample are compared with the reference."""
        return self.weights.guidance > 0

    def terms(self, output: StepOutput, example: Example, rays: Rays) -> dict[str, Tensor]:
        """Named terms, already weighted; their sum is the loss."""
        terms = self._colour(output, example, rays)
        if self.weights.semantic and example.target.labels is not None:
            terms |= self._semantic(output, example.target.labels, rays)
        if self.weights.instance and output.instance_logits is not None:
            terms |= self._instance(output.instance_logits, example.target.instances)
        if output.reference is not None:
            terms |= self._distillation(output.last, output.reference)
        if self.weights.depth and example.target.depth is not None:
            terms |= self._depth(output, example, rays)
        if self.weights.photometric:
            terms |= self._photometric(output, example, rays)
        return terms

    def _colour(self, output: StepOutput, example: Example, rays: Rays) -> dict[str, Tensor]:
        truth = _true_colours(example, rays)
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
        """Without a truth the term is 0 with zero gradients, since processes exchange one of every parameter."""
        if instances is None:
            unknown = len(logits)  # is no channel
            instances = torch.full(logits.shape[1:], unknown, device=logits.device)
        loss = losses.instance_loss(logits, instances, self.assignment)
        return {"instance": self.weights.instance * _SEMANTIC_COUNTS * loss}

    def _distillation(self, last: RayOutput, reference: Tensor) -> dict[str, Tensor]:
        terms = {}
        if self.weights.distillation:
            assert last.features is not None
            terms["distillation"] = self.weights.distillation * losses.distillation_loss(last.features, reference)
        if self.weights.guidance:
            assert last.guidance is not None
            guided = losses.depth_guided_loss(last.guidance, last.weights, self.n_p, self.negative, self.compat)
            terms["depth_guided"] = self.weights.guidance * guided
        return terms

    def _depth(self, output: StepOutput, example: Example, rays: Rays) -> dict[str, Tensor]:
        u, v = rays.pixels.unbind(-1)
        truth = example.target.depth[v, u]  # type: ignore[index]
        return {
            f"depth_{name}": self.weights.depth * losses.depth_loss(each.depth, truth, example.near, example.far)
            for name, each in _passes(output).items()
        }

    def _photometric(self, output: StepOutput, example: Example, rays: Rays) -> dict[str, Tensor]:
        truth, terms = _true_colours(example, rays), {}
        for name, each in _passes(output).items():
            mismatch = colour_mismatch(rays, each.z, truth, example.sources)
            terms[f"photometric_{name}"] = self.weights.photometric * losses.photometric_loss(each.weights, mismatch)
        return terms


def _true_colours(example: Example, rays: Rays) -> Tensor:
    u, v = rays.pixels.unbind(-1)
    return example.target.image[:, v, u].T


def _passes(output: StepOutput) -> dict[str, RayOutput]:
    return {"coarse": output.coarse} if output.fine is None else {"coarse": output.coarse, "fine": output.fine}
