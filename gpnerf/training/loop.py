"""The training loop: steps, logging, checkpoints and validation at intervals."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.structures import Example, FrameFailure
from gpnerf.tracking import Tracker
from gpnerf.training.objective import Objective
from gpnerf.training.state import TrainingState
from gpnerf.training.step import StepReport, StepSettings, train_step

_log = logging.getLogger(__name__)

# A training of days survives a few unreadable frames, but not a broken data set.
_TOLERATED_FAILURES = 5
_TOLERATED_SHARE = 0.01
# A step that is not finite is refused; so many in a row mean that the run is lost.
_TOLERATED_REFUSALS = 3


@dataclass(frozen=True)
class Schedule:
    """Length of a run and its intervals, in steps; `accumulate` is the targets of one step."""

    total: int
    log_every: int
    save_every: int
    accumulate: int


def fit(
    state: TrainingState,
    stream: Iterator[Example | FrameFailure],
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

    Raises:
        UserError: too many frames cannot be read, or the loss stays non-finite.
    """
    examples = _readable(state, stream)
    started, rendered = time.perf_counter(), 0
    bar = tqdm(total=schedule.total, initial=state.step, desc="train", unit="step", disable=not context.is_main)
    with logging_redirect_tqdm(), bar:
        while state.step < schedule.total:
            batch = [next(examples) for _ in range(schedule.accumulate)]
            report = train_step(state, batch, objective, settings, context, device)
            state.step += 1
            rendered += settings.rays * schedule.accumulate
            _refuse(state, report)
            bar.update()
            last = state.step == schedule.total
            if state.step % schedule.log_every == 0 or last:
                rate = context.world_size * rendered / (time.perf_counter() - started)
                _report(state, report, rate, tracker, bar)
                started, rendered = time.perf_counter(), 0
            if state.step % schedule.save_every == 0 or last:
                save()
                validate()
                started, rendered = time.perf_counter(), 0


def _readable(state: TrainingState, stream: Iterator[Example | FrameFailure]) -> Iterator[Example]:
    """The examples of the stream without those whose files cannot be read, which are logged and counted."""
    failures: list[str] = []
    seen = 0
    for item in stream:
        seen += 1
        state.consumed += 1
        if isinstance(item, Example):
            yield item
            continue
        failures.append(item.message)
        _log.warning("skipped (%d so far): %s", len(failures), item.message)
        if len(failures) > max(_TOLERATED_FAILURES, _TOLERATED_SHARE * seen):
            listed = "; ".join(sorted(set(failures)))
            raise UserError(f"{len(failures)} of {seen} examples could not be read, which is too many: {listed}")


def _refuse(state: TrainingState, report: StepReport) -> None:
    if report.finite:
        state.refused = 0
        return
    state.refused += 1
    named = ", ".join(f"{name} {value:g}" for name, value in report.terms.items())
    _log.warning("step %d refused: not finite (%s, gradient norm %g)", state.step, named, report.grad_norm)
    if state.refused >= _TOLERATED_REFUSALS:
        raise UserError(
            f"{state.refused} steps in a row were not finite, the last with {named}, "
            f"gradient norm {report.grad_norm:g}; lower the learning rates or set clip_grad_norm; "
            "the newest checkpoint is from before"
        )


def _report(state: TrainingState, report: StepReport, rays_per_second: float, tracker: Tracker, bar: tqdm) -> None:
    total = sum(report.terms.values())
    rates = {f"rate/{group['name']}": group["lr"] for group in state.optimizer.param_groups}
    terms = {f"loss/{name}": value for name, value in report.terms.items()}
    tracker.scalars(state.step, {"loss/total": total, **terms, "grad_norm": report.grad_norm, **rates})
    tracker.speed(state.step, rays_per_second)
    bar.set_postfix_str(f"loss {total:.4f}, {rays_per_second:.0f} rays/s")
    _log.info("step %d: loss %.6f (%s)", state.step, total, ", ".join(f"{k} {v:.4f}" for k, v in report.terms.items()))
