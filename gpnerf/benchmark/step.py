"""What a training step costs, as a list of variants that differ in model or losses."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gpnerf.benchmark.timing import Job, Task
from gpnerf.distributed import Context
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.structures import Example
from gpnerf.training import Objective, StepSettings, TrainingState, train_step

ALL, COLOUR, UNWEIGHTED = "all losses", "colour only", "semantic weights 0"


class _Forwarded(Exception):
    """Ends a step after its forward pass."""


@dataclass(frozen=True)
class Step:
    """One variant of a training step on fixed rays of an example: forward, losses, backward and optimiser."""

    state: TrainingState
    example: Example
    objective: Objective
    settings: StepSettings

    @classmethod
    def of(
        cls,
        model: GPNeRF,
        optimizer: Callable[[GPNeRF], Optimizer],
        example: Example,
        objective: Objective,
        settings: StepSettings,
    ) -> "Step":
        """With an optimiser of its own, at a constant learning rate, and the example where a loader leaves it."""
        made = optimizer(model)
        counts = torch.zeros(objective.ignore, dtype=torch.int64)
        state = TrainingState(model, model, made, LambdaLR(made, lambda step: 1.0), counts)
        return cls(state, example.to("cpu"), objective, settings)

    def run(self) -> None:
        """The whole step; the rays are the same every time."""
        device = next(self.state.model.parameters()).device
        train_step(self.state, [self.example], self.objective, self.settings, Context(), device)

    def forward(self) -> None:
        """The step up to the end of its forward pass."""
        hook = self.state.model.register_forward_hook(_stop)
        with suppress(_Forwarded):
            self.run()
        hook.remove()

    def prepare(self) -> None:
        """As a step finds things in a training under way: the optimiser has its moments, gradients are to be made."""
        if not self.state.optimizer.state:
            self.run()
        self.state.optimizer.zero_grad(set_to_none=True)


def _stop(*_: object) -> None:
    raise _Forwarded


def colour_objective(objective: Objective) -> Objective:
    """The objective without its semantic terms."""
    return replace(objective, weights=replace(objective.weights, semantic=0.0, distillation=0.0))


def step_jobs(steps: Mapping[str, Step]) -> list[Job]:
    """What to compare of the variants; names are "MODEL, LOSSES"."""

    def pair(name: str, first: str, second: str) -> Job:
        return Job(name, tuple(Task(each, steps[each].run) for each in (first, second)))

    fast = f"fast, {ALL}"
    recomputed = [name for name in steps if name.startswith("fast, recomputed")]
    return [
        pair("step", f"plain, {ALL}", fast),
        pair("step, semantic losses", fast, f"fast, {COLOUR}"),
        pair("step, colour only", f"plain, {COLOUR}", f"fast, {COLOUR}"),
        pair("step, what weights of 0 leave", f"fast, {UNWEIGHTED}", f"fast, {COLOUR}"),
        *(pair(f"step, {name}", name, fast) for name in recomputed),
        Job("step, forward part", (Task(fast, steps[fast].forward),)),
    ]
