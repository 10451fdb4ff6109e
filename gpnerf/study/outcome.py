"""What a run of a study has come to, read from its folder."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpnerf.storage import read_json
from gpnerf.study.plan import Run

# The scores of a study's table.
SCORES = ("miou", "miou_query", "psnr", "depth_abs_rel", "miou_boundary")
SECONDS = "seconds_per_step"


@dataclass(frozen=True)
class Outcome:
    """A finished run's numbers (None where there is no such score), and the content of its `metrics.json`."""

    numbers: dict[str, float | None]
    result: dict[str, Any]


def read_outcome(run: Run) -> Outcome | None:
    """The outcome of a run, or None while its last checkpoint is not evaluated yet."""
    paths = run.folder.glob("eval/*/metrics.json")
    results = [
        read_json(path, "the result of an evaluation", "delete it, and the run is evaluated anew") for path in paths
    ]
    finished = [result for result in results if result["checkpoint"]["step"] == run.steps]
    if not finished:
        return None
    scores = {name: finished[0]["overall"].get(name) for name in SCORES}
    return Outcome({**scores, SECONDS: _seconds_per_step(run.folder)}, finished[0])


def _seconds_per_step(folder: Path) -> float | None:
    """The median over the intervals of the training's log, so that stops and busy moments do not count."""
    # Slow to import.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    if SECONDS not in events.Tags()["scalars"]:
        return None
    return statistics.median(event.value for event in events.Scalars(SECONDS))
