"""Paired measurements of wall and processor time: what is compared alternates within one process."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch


@dataclass(frozen=True)
class Task:
    """Something to time, under the name that the report gives it."""

    name: str
    run: Callable[[], object]


@dataclass(frozen=True)
class Job:
    """One task to time, or two to compare."""

    name: str
    tasks: tuple[Task, ...]


@dataclass
class Laps:
    """Seconds of every run of a task: on the clock, and of the processor over all threads of this process.

    On a machine shared with other work the processor's seconds are the steadier ones; on a GPU they are the
    host's part alone.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def median(self, clock: str) -> float:
        """The median of the `wall` or `cpu` seconds."""
        return median(getattr(self, clock))


@dataclass(frozen=True)
class Result:
    """The laps of a job's tasks by name, in the order of the tasks."""

    laps: dict[str, Laps]

    def ratio(self, clock: str) -> float:
        """Median over the rounds of the first task's seconds over the second's."""
        return median(self.ratios(clock))

    def ratios(self, clock: str) -> list[float]:
        """The first task's seconds over the second's, round by round."""
        first, second = (getattr(laps, clock) for laps in self.laps.values())
        return [a / b for a, b in zip(first, second, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Every lap, the medians and, for a comparison, the ratios; plain values for JSON."""
        clocks = ("wall", "cpu")
        runs = {
            name: {clock: {"seconds": getattr(laps, clock), "median": laps.median(clock)} for clock in clocks}
            for name, laps in self.laps.items()
        }
        if len(runs) < 2:
            return {"runs": runs}
        return {"runs": runs, "ratio": {c: {"median": self.ratio(c), "rounds": self.ratios(c)} for c in clocks}}


def measure(
    jobs: Iterable[Job], repeats: int, device: torch.device, progress: Callable[[str], object]
) -> dict[str, Result]:
    """Time the tasks of each job `repeats` times, after one run of each that does not count.

    Rounds alternate the order (A B, B A, A B, ...), so that neither what drifts over minutes nor what one run leaves
    in the caches favours a task. `progress` is told the job's name after every run.
    """
    results = {}
    for job in jobs:
        laps = {task.name: Laps() for task in job.tasks}
        for turn in range(-1, repeats):
            for task in job.tasks if turn % 2 == 0 else job.tasks[::-1]:
                wall, cpu = lap(task.run, device)
                if turn >= 0:
                    laps[task.name].wall.append(wall)
                    laps[task.name].cpu.append(cpu)
                progress(job.name)
        results[job.name] = Result(laps)
    return results


def runs(jobs: Iterable[Job], repeats: int) -> int:
    """How many runs `measure` will make."""
    return sum(len(job.tasks) for job in jobs) * (repeats + 1)


def lap(run: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of one run: on the clock and of the processor."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    _wait(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
