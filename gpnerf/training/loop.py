"""The training loop: steps, logging, checkpoints and validation at intervals, and a stop that loses nothing."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gpnerf.distributed import Context
from gpnerf.errors import Stopped, StopSignals, UserError
from gpnerf.structures import Example
from gpnerf.tracking import Tracker
from gpnerf.training.objective import Objective
from gpnerf.training.state import TrainingState
from gpnerf.training.step import StepReport, StepSettings, train_step
from gpnerf.training.stream import Stream, readable

_log = logging.getLogger(__name__)

# A step that is not finite is refused; so many in a row mean that the run is lost.
_TOLERATED_REFUSALS = 3


@dataclass(frozen=True)
class Schedule:
    """Length of a run and its intervals, in steps; `accumulate` is the targets of one step."""

    total: int
    log_every: int
    save_every: int
    accumulate: int

    def saves(self, step: int) -> bool:
        """Whether a checkpoint and a validation are due after a step."""
        return step % self.save_every == 0 or step == self.total


def fit(
    state: TrainingState,
    open_stream: Callable[[int], Stream],
    objective: Objective,
    settings: StepSettings,
    schedule: Schedule,
    tracker: Tracker,
    context: Context,
    device: torch.device,
    save: Callable[[], None],
    validate: Callable[[], None],
) -> None:
    """Train up to step `schedule.total`; `save` and `validate` are called every `save_every` steps and at the end.

    `open_stream` gives the examples from a place on.

    Raises:
        UserError: too many frames cannot be read, loader processes keep dying, or the loss stays non-finite.
        Stopped: a signal to stop came to any process; all of them have finished the same step, and it is saved.
    """
    signals, pace = StopSignals(), _Pace()
    bar = tqdm(total=schedule.total, initial=state.step, desc="train", unit="step", disable=not context.is_main)
    with logging_redirect_tqdm(), bar, signals.noted(), closing(readable(state, open_stream)) as examples:
        while state.step < schedule.total:
            batch = pace.take(examples, schedule.accumulate)
            report = train_step(state, batch, objective, settings, context, device, stop=signals.came is not None)
            state.step += 1
            _refuse(state, report, context)
            bar.update()
            if state.step % schedule.log_every == 0 or state.step == schedule.total:
                _report(state, report, pace, settings.rays, tracker, context, bar)
            if schedule.saves(state.step) or report.stop:
                save()
            if report.stop:
                raise _stopped(signals, state.step, context)
            if schedule.saves(state.step):
                with signals.obeyed():
                    validate()
                pace.restart()


class _Pace:
    """What steps take since the last report."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.started, self.waited, self.steps, self.targets = time.perf_counter(), 0.0, 0, 0

    def take(self, examples: Iterator[Example], count: int) -> list[Example]:
        """The next step's examples; the wait for them is counted."""
        before = time.perf_counter()
        batch = list(islice(examples, count))
        self.waited += time.perf_counter() - before
        self.steps, self.targets = self.steps + 1, self.targets + count
        return batch


def _stopped(signals: StopSignals, step: int, context: Context) -> Stopped:
    """Leave the group, all processes for the same signal, whichever of them it came to."""
    came = next(number for number in context.gather(signals.came) if number is not None)
    context.shutdown()
    text = f"stopped by {came.name} after step {step}: it is saved, and the same command goes on from there"
    return Stopped(text, came)


def _refuse(state: TrainingState, report: StepReport, context: Context) -> None:
    if report.finite:
        state.refused = 0
        return
    state.refused += 1
    named = _not_finite(report, context)
    _log.warning("step %d refused: not finite (%s)", state.step, named)
    if state.refused >= _TOLERATED_REFUSALS:
        raise UserError(
            f"{state.refused} steps in a row were not finite, the last with {named}; lower the learning rates or set "
            "clip_grad_norm; the newest checkpoint is from before"
        )


def _not_finite(report: StepReport, context: Context) -> str:
    """The terms of the loss that are not finite, in the first process with such, and the gradients, which all share."""
    gradients = f"gradient norm {report.grad_norm:g}"
    spoilt = {name: value for name, value in report.terms.items() if not math.isfinite(value)}
    for rank, terms in enumerate(context.gather(spoilt)):
        if terms:
            where = f" in process {rank}" if context.world_size > 1 else ""
            return ", ".join(f"{name} {value:g}" for name, value in terms.items()) + f"{where}, {gradients}"
    return gradients


def _report(
    state: TrainingState, report: StepReport, pace: _Pace, rays: int, tracker: Tracker, context: Context, bar: tqdm
) -> None:
    """Log the mean of the losses over all processes."""
    parts = context.gather(report.terms)
    terms = {name: sum(part.get(name, 0.0) for part in parts) / len(parts) for part in parts for name in part}
    total = sum(terms.values())
    seconds = time.perf_counter() - pace.started
    speed = context.world_size * rays * pace.targets / seconds
    rates = {f"rate/{group['name']}": group["lr"] for group in state.optimizer.param_groups}
    losses = {"loss/total": total, **{f"loss/{name}": value for name, value in terms.items()}}
    timings = {"seconds_per_step": seconds / pace.steps, "data_seconds_per_step": pace.waited / pace.steps}
    tracker.speed(state.step, {"rays_per_second": speed, **timings})
    tracker.scalars(state.step, {**losses, "grad_norm": report.grad_norm, **rates})
    bar.set_postfix_str(f"loss {total:.4f}, {speed:.0f} rays/s")
    _log.info("step %d: loss %.6f (%s)", state.step, total, ", ".join(f"{k} {v:.4f}" for k, v in terms.items()))
    pace.restart()
