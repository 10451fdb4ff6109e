"""Train and evaluate a list of configurations from several seeds and put their scores into one table.

    python scripts/make_rooms.py --out data/rooms --bench --workers 8
    python scripts/run_study.py --steps 800 --seeds 0 1
    python scripts/run_study.py --steps 8000 --seeds 0 1 --device cuda --jobs 4 --minutes 9

Every run is one of train_gpnerf.py and one of eval_gpnerf.py in out/<study>_<steps>/<row>/seed_<seed>; what they print
is in seed_<seed>.log beside it. The same command goes on where it stopped: finished runs are not repeated, others
continue from their newest checkpoint. table.md and table.json in out/<study>_<steps> are written after every run; a run
that fails is marked in them, and the others go on. Seconds a step are those of runs side by side if there are several.
"""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.assembly.evaluation import finished_evaluation
from gpnerf.config import differences, parse
from gpnerf.errors import UserError, run_script
from gpnerf.ownership import owned
from gpnerf.storage import strict_json, write_whole
from gpnerf.study.execution import carry_out
from gpnerf.study.outcome import Outcome, outcome_of
from gpnerf.study.plan import Row, Run, load_study, plan_runs
from gpnerf.study.table import study_markdown, study_report


def main() -> None:
    args = _arguments()
    logging.getLogger("tensorboard").setLevel(logging.WARNING)  # it tells of every file that it has read
    for name in ("steps", "jobs"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name}: expected at least 1, found {getattr(args, name)}")
    study = load_study(args.study)
    more = ["--device", args.device, *shlex.split(args.flags)]
    chosen = study.only(args.rows)
    runs = plan_runs(study, args.rootdir.resolve(), args.seeds, args.steps, more)
    for run in runs:
        _check(run)
    folder = runs[0].folder.parents[1]
    with owned(folder):
        _carry_out(folder, runs, chosen, args)


def _carry_out(folder: Path, runs: list[Run], chosen: Sequence[Row], args: argparse.Namespace) -> None:
    outcomes = {run: outcome for run in runs if (outcome := _outcome(run))}
    failed: dict[Run, int] = {}

    def write() -> None:
        report = study_report(folder.name, runs, outcomes, failed)
        write_whole(folder / "table.json", strict_json(report, indent=1))
        write_whole(folder / "table.md", study_markdown(report))

    def ended(run: Run, code: int | None) -> None:
        if code:
            failed[run] = code
        elif outcome := _outcome(run):
            outcomes[run] = outcome
        write()

    write()
    seconds = None if args.minutes is None else 60 * args.minutes
    carry_out([run for run in runs if run.row in chosen and run not in outcomes], args.jobs, ended, seconds)
    print((folder / "table.md").read_text(encoding="utf-8"))
    print(f"{len(outcomes)} of {len(runs)} runs are finished; table: {folder / 'table.md'}")
    if failed:
        raise UserError(f"{len(failed)} runs failed, the first of them says why in {next(iter(failed)).log}")


def _outcome(run: Run) -> Outcome | None:
    """The outcome of a run that is finished."""
    result = finished_evaluation(parse(run.flags), run.steps)
    return None if result is None else outcome_of(run, result)


def _check(run: Run) -> None:
    """Refuse wrong flags before anything is run, and other flags than those that a run was started with."""
    config, written = parse(run.flags), run.folder / "config.txt"
    changed = differences(parse(["--config", str(written)]), config) if written.is_file() else []
    if changed:
        name, old, new = changed[0]
        raise UserError(
            f"{written}: this run was started with {name} = {old}, found {new} now; set it back, give the row another "
            "name, or remove the folder"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path("configs/studies/rooms.toml"), help="list of configurations")
    parser.add_argument("--rows", nargs="*", default=[], metavar="NAME", help="run these rows only")
    parser.add_argument("--steps", type=int, default=800, help="training steps of every run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="seeds that every row starts from")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--minutes", type=float, help="stop after so long, with everything saved")
    parser.add_argument("--device", default="auto", help="where to compute: auto, cpu or cuda")
    parser.add_argument("--flags", default="", help='flags of every run, as one word: --flags="--amp bf16"')
    parser.add_argument("--rootdir", type=Path, default=Path(), help="folder that holds data/ and out/")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
