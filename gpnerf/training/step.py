"""One optimiser step over one or several target views."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gpnerf.distributed import Context
from gpnerf.geometry import camera_rays
from gpnerf.models.gpnerf import StepOutput
from gpnerf.structures import Example, Rays
from gpnerf.training.objective import Objective
from gpnerf.training.pixels import SampleMode, choose_pixels, step_seeds
from gpnerf.training.state import TrainingState


@dataclass(frozen=True)
class StepSettings:
    """How a step samples and updates; `clip_grad_norm` 0 means no clipping."""

    rays: int
    sample_mode: SampleMode
    center_ratio: float
    jitter: bool
    clip_grad_norm: float
    amp: Literal["none", "bf16"]
    seed: int


@dataclass(frozen=True)
class StepReport:
    """Weighted loss terms (means over this process's targets) and the gradient norm before clipping; whether all was
    finite in every process, and whether any process is asked to stop.
    """

    terms: dict[str, float]
    grad_norm: float
    finite: bool
    stop: bool = False


def train_step(
    state: TrainingState,
    examples: Sequence[Example],
    objective: Objective,
    settings: StepSettings,
    context: Context,
    device: torch.device,
    stop: bool = False,
) -> StepReport:
    """Average the loss of the examples over all processes, back-propagate and update, unless anything is not finite
    in any process; tell the others if this one is asked to `stop`.
    """
    state.network.train()
    state.optimizer.zero_grad(set_to_none=True)
    totals: dict[str, Tensor] = {}
    for target, example in enumerate(examples):
        pixels, dropout = step_seeds(settings.seed, state.step, target * context.world_size + context.rank)
        generator = torch.Generator(device).manual_seed(pixels)
        torch.manual_seed(dropout)  # which draws from the global generator
        with _unsynchronised(state.network) if target + 1 < len(examples) else nullcontext():
            terms = _add_gradients(state, example.to(device), objective, settings, generator, len(examples))
        for name, value in terms.items():
            totals[name] = totals.get(name, torch.zeros((), device=device)) + value / len(examples)
        _count_classes(state, example)
    limit = settings.clip_grad_norm or float("inf")
    norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), limit)
    # One transfer for all numbers of the step.
    *values, grad_norm = torch.stack([*totals.values(), norm]).tolist()
    report = dict(zip(totals, values, strict=True))
    finite = bool(torch.isfinite(torch.tensor([*values, grad_norm])).all())
    finite, goes_on = context.everywhere(device, finite, not stop)
    if finite:
        state.optimizer.step()
        state.scheduler.step()
    return StepReport(report, grad_norm, finite, not goes_on)


def _unsynchronised(network: nn.Module) -> AbstractContextManager:
    """Inside, gradients only add up in this process; the last target's backward exchanges their sum."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()


def _add_gradients(
    state: TrainingState,
    example: Example,
    objective: Objective,
    settings: StepSettings,
    generator: torch.Generator,
    count: int,
) -> dict[str, Tensor]:
    """The terms of an example's loss, whose gradients divided by `count` are added up."""
    camera = example.target.camera
    pixels = choose_pixels(
        camera.height, camera.width, settings.rays, settings.sample_mode, settings.center_ratio, generator
    )

    def backward(example: Example, rays: Rays, generator: torch.Generator) -> dict[str, Tensor]:
        terms, silent = _terms(state, example, rays, objective, settings, generator)
        (sum(terms.values(), silent) / count).backward()
        return {name: value.detach() for name, value in terms.items()}

    rays = camera_rays(camera, pixels)
    if state.graph is None:
        return backward(example, rays, generator)
    return state.graph.run(backward, state.model.parameters(), example, rays, generator)


def _terms(
    state: TrainingState,
    example: Example,
    rays: Rays,
    objective: Objective,
    settings: StepSettings,
    generator: torch.Generator,
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms of the loss, and a zero to add to them (see `_silent`)."""
    amp = settings.amp == "bf16"
    # No cache: weights cast for the gradient-free part of the pyramid must not serve the part that learns.
    with torch.autocast(rays.pixels.device.type, torch.bfloat16, enabled=amp, cache_enabled=False):
        jitter = generator if settings.jitter else None
        wants = objective.wants_semantics, objective.wants_features, objective.wants_guidance
        output = state.network(example, rays, *wants, jitter)
    return objective.terms(output, example, rays), _silent(output, example, objective)


def _silent(output: StepOutput, example: Example, objective: Objective) -> Tensor:
    """Zero, made from the logits where the target has no labels to compare them with.

    So every parameter that any target trains has a gradient for each target, as the processes' exchange requires, and
    an optimiser step does not depend on which process had the target.
    """
    silent = torch.zeros((), device=output.coarse.rgb.device)
    if example.target.labels is None and objective.weights.semantic:
        passes = [output.coarse, output.fine]
        logits = [output.logits, *(each.logits for each in passes if each is not None)]
        silent = sum((0 * each.sum() for each in logits if each is not None), silent)
    return silent


def _count_classes(state: TrainingState, example: Example) -> None:
    labels = example.target.labels
    if labels is not None:
        count = len(state.class_counts)
        state.class_counts += torch.bincount(labels[labels < count], minlength=count)
