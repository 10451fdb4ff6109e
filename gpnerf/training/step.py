"""One optimiser step over one or several target views."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gpnerf.distributed import Context
from gpnerf.geometry import camera_rays
from gpnerf.structures import Example
from gpnerf.training.objective import Objective
from gpnerf.training.pixels import SampleMode, choose_pixels, step_seed
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
    """Weighted loss terms (means over the targets), the gradient norm before clipping, and whether all was finite."""

    terms: dict[str, float]
    grad_norm: float
    finite: bool


def train_step(
    state: TrainingState,
    examples: Sequence[Example],
    objective: Objective,
    settings: StepSettings,
    context: Context,
    device: torch.device,
) -> StepReport:
    """Average the loss of the examples, back-propagate and update, unless anything is not finite on any rank."""
    # Dropout draws from the global generator; seeding it per step makes a step independent of those before it.
    torch.manual_seed(step_seed(settings.seed, context.rank, state.step))
    state.network.train()
    state.optimizer.zero_grad(set_to_none=True)
    totals: dict[str, Tensor] = {}
    for target, example in enumerate(examples):
        seed = step_seed(settings.seed, context.rank, state.step, 1 + target)
        terms = _terms(state, example.to(device), objective, settings, torch.Generator(device).manual_seed(seed))
        (sum(terms.values(), torch.zeros((), device=device)) / len(examples)).backward()
        for name, value in terms.items():
            totals[name] = totals.get(name, torch.zeros((), device=device)) + value.detach() / len(examples)
        _count_classes(state, example)
    limit = settings.clip_grad_norm or float("inf")
    norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), limit)
    # One transfer for all numbers of the step.
    *values, grad_norm = torch.stack([*totals.values(), norm]).tolist()
    report = dict(zip(totals, values, strict=True))
    finite = bool(torch.isfinite(torch.tensor([*values, grad_norm])).all())
    if finite := context.all_finite(finite, device):
        state.optimizer.step()
        state.scheduler.step()
    return StepReport(report, grad_norm, finite)


def _terms(
    state: TrainingState, example: Example, objective: Objective, settings: StepSettings, generator: torch.Generator
) -> dict[str, Tensor]:
    camera = example.target.camera
    pixels = choose_pixels(
        camera.height, camera.width, settings.rays, settings.sample_mode, settings.center_ratio, generator
    )
    rays = camera_rays(camera, pixels)
    amp = settings.amp == "bf16"
    # No cache: weights cast for the gradient-free part of the pyramid must not serve the part that learns.
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=amp, cache_enabled=False):
        output = state.network(example, rays, objective.wants_field, generator if settings.jitter else None)
    return objective.terms(output, example, rays)


def _count_classes(state: TrainingState, example: Example) -> None:
    labels = example.target.labels
    if labels is not None:
        count = len(state.class_counts)
        state.class_counts += torch.bincount(labels[labels < count], minlength=count)
