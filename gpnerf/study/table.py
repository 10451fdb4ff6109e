"""The table of a study, from the runs that are finished."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from gpnerf.evaluation.results import markdown_table
from gpnerf.study.outcome import SCORES, SECONDS, Outcome
from gpnerf.study.plan import Row, Run

_TITLES = {
    "miou": "mIoU",
    "miou_query": "ceiling (`miou_query`)",
    "psnr": "PSNR",
    "depth_abs_rel": "depth error",
    "miou_boundary": "mIoU near borders",
    SECONDS: "seconds a step",
}
_DIGITS = {"psnr": 2}


def study_report(
    name: str, runs: Sequence[Run], outcomes: Mapping[Run, Outcome], failed: Mapping[Run, int]
) -> dict[str, Any]:
    """Everything that is known of a study as plain JSON values.

    Each row holds its seeds' numbers, and of these the mean and the standard deviation (with n - 1; None of one seed).
    """
    first = next(iter(outcomes.values()), None)
    rows = list(dict.fromkeys(run.row for run in runs))
    return {
        "study": name,
        "steps": runs[0].steps,
        "seeds": sorted({run.seed for run in runs}),
        "environment": first.result["environment"] if first else None,
        "protocol": {key: first.result["protocol"][key] for key in ("name", "sha256")} if first else None,
        "rows": {row.name: _row_report(row, runs, outcomes, failed) for row in rows},
    }


def study_markdown(report: Mapping[str, Any]) -> str:
    """The report as a table, with what is not finished and where it was run below."""
    header = ["", *(_TITLES[column] for column in (*SCORES, SECONDS)), "seeds"]
    cells, notes = [], []
    for row in report["rows"].values():
        finished = [seed for seed, run in row["seeds"].items() if run["state"] == "finished"]
        numbers = (_cell(column, row["mean"].get(column), row["spread"].get(column)) for column in (*SCORES, SECONDS))
        cells.append([row["title"], *numbers, f"{len(finished)} of {len(row['seeds'])}"])
        notes += [
            f"- {row['title']}, seed {seed}: failed with exit code {run['exit_code']}, see `{run['log']}`"
            for seed, run in row["seeds"].items()
            if run["state"] == "failed"
        ]
    lines = [f"# {report['study']}", "", _described(report), "", markdown_table(header, cells), ""]
    return "\n".join([*lines, *(["Failed:", "", *notes, ""] if notes else [])])


def _row_report(
    row: Row, runs: Sequence[Run], outcomes: Mapping[Run, Outcome], failed: Mapping[Run, int]
) -> dict[str, Any]:
    own = {run.seed: run for run in runs if run.row == row}
    finished = [outcomes[run].numbers for run in own.values() if run in outcomes]
    columns = {
        name: [value for numbers in finished if (value := numbers[name]) is not None] for name in (*SCORES, SECONDS)
    }
    return {
        "title": row.title,
        "flags": list(row.flags),
        "seeds": {str(seed): _run_report(run, outcomes.get(run), failed.get(run)) for seed, run in own.items()},
        "mean": {name: statistics.mean(values) if values else None for name, values in columns.items()},
        "spread": {name: statistics.stdev(values) if len(values) > 1 else None for name, values in columns.items()},
    }


def _run_report(run: Run, outcome: Outcome | None, code: int | None) -> dict[str, Any]:
    if outcome is not None:
        return {"state": "finished", "folder": str(run.folder), **outcome.numbers}
    if code is not None:
        return {"state": "failed", "exit_code": code, "log": str(run.log)}
    return {"state": "not finished"}


def _described(report: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, report["seeds"]))
    parts = [f"{report['steps']} steps from the seeds {seeds}; mean ± standard deviation over them."]
    if (environment := report["environment"]) and (protocol := report["protocol"]):
        parts.append(
            f"Protocol {protocol['name']} (SHA-256 `{protocol['sha256'][:12]}`), {environment['device']}, "
            f"torch {environment['torch']}, commit {str(environment['commit'])[:7]}."
        )
    return " ".join(parts)


def _cell(column: str, mean: float | None, spread: float | None) -> str:
    if mean is None:
        return "-"
    digits = _DIGITS.get(column, 3)
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")
