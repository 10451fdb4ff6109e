"""Studies: from a list of configurations to runs, and from finished runs to a table."""

import json
import signal
import statistics
import time
from pathlib import Path

import pytest
from launched import PATIENCE, launch
from scripts_here import run_here
from tiny_runs import REPOSITORY, flags, write_rooms

from gpnerf.config import parse
from gpnerf.errors import Stopped, UserError
from gpnerf.study import execution
from gpnerf.study.outcome import SCORES, SECONDS, Outcome, outcome_of
from gpnerf.study.plan import Row, Run, load_study, plan_runs
from gpnerf.study.table import study_markdown, study_report

SHIPPED = sorted((REPOSITORY / "configs/studies").glob("*.toml"))
STUDY = """
config = "configs/gnt_rooms.txt"
flags = "--cache_gb 1"
rate_periods = 3
[[row]]
name = "plain"
title = "nothing"
flags = ""
[[row]]
name = "labels"
title = "labels"
flags = "--semantic_model fc --cache_gb 2"
"""


def written(folder: Path, text: str = STUDY) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_compare_equal_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    study = load_study(path)
    configs = [parse(run.flags) for run in plan_runs(study, Path("root"), [0, 1], 900)]
    assert len({config.run.expname for config in configs}) == 2 * len(study.rows)
    for config in configs:
        assert config.optim.total_step == 900 and str(config.run.protocol).endswith("rooms_bench.json")
    forms = {(config.model, config.render, config.loss, config.optim) for config in configs}
    assert len(forms) == len(study.rows)  # every row is another configuration, seeds change nothing else


def test_flags_of_a_row_win_over_those_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    study = load_study(written(tmp_path))
    runs = plan_runs(study, tmp_path, [5, 6], 10, ["--cache_gb", "3", "--N_rand", "8"])
    configs = {(run.row.name, run.seed): parse(run.flags) for run in runs}
    assert [(run.row.name, run.seed) for run in runs] == [("plain", 5), ("labels", 5), ("plain", 6), ("labels", 6)]
    assert [configs[name, 5].data.cache_gb for name in ("plain", "labels")] == [3.0, 2.0]
    assert {config.optim.N_rand for config in configs.values()} == {8}
    # Three periods in ten steps: the rates fall twice.
    assert {config.optim.lrate_decay_steps for config in configs.values()} == {4}
    for run in runs:
        config = configs[run.row.name, run.seed]
        assert config.run.seed == run.seed and config.run.rootdir / "out" / config.run.expname == run.folder
    assert [row.name for row in study.only(["labels"])] == ["labels"]
    with pytest.raises(UserError, match=r"study mine: expected rows among plain, labels, found 'x'"):
        study.only(["x"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "labels"', 'name = "plain"', "'plain' more than once"),
        ('name = "labels"', 'name = "../labels"', "row 2: expected a name of letters"),
        ("rate_periods = 3", "rate_periods = 0", "rate_periods of at least 1"),
        ("rate_periods = 3", 'rate_periods = "3"', "'rate_periods' must be of type int"),
        ("rate_periods = 3", "", "expected the keys config, flags, rate_periods, row"),
        ('title = "labels"', "", "row 2: expected the keys name, title, flags"),
        ("rate_periods = 3", "rate_periods =", "expected TOML"),
    ],
)
def test_a_faulty_study_is_one_clear_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_study(written(tmp_path, STUDY.replace(old, new)))
    message = str(caught.value)
    assert words in message and message.startswith(str(tmp_path)) and "\n" not in message
    with pytest.raises(UserError, match="found no such file"):
        load_study(tmp_path / "none.toml")


def outcome(miou: float, seconds: float | None = 0.5) -> Outcome:
    result = {"environment": {"device": "cpu (x)", "torch": "2", "commit": "a" * 40}}
    numbers = dict.fromkeys(SCORES, 0.25) | {"miou": miou, "miou_query": None, "psnr": 20.123, SECONDS: seconds}
    return Outcome(numbers, {**result, "protocol": {"name": "mine", "sha256": "b" * 64}})


def test_the_table_tells_means_spreads_and_what_failed() -> None:
    rows = Row("a", "first", ()), Row("b", "second", ("--x",))
    runs = [Run(row, seed, 7, Path("out/s/x") / str(seed), ()) for seed in (0, 1, 2) for row in rows]
    outcomes = {run: outcome(0.1 * run.seed + 0.2) for run in runs if run.row.name == "a"}
    outcomes[runs[1]] = outcome(0.4, None)
    report = study_report("s", runs, outcomes, {runs[3]: 2})
    assert json.loads(json.dumps(report)) == report
    first, second = report["rows"]["a"], report["rows"]["b"]
    assert first["mean"]["miou"] == pytest.approx(0.3) and second["mean"]["miou"] == 0.4
    assert first["spread"]["miou"] == pytest.approx(statistics.stdev([0.2, 0.3, 0.4]))
    assert second["spread"]["miou"] is None and first["mean"]["miou_query"] is None
    assert [run["state"] for run in second["seeds"].values()] == ["finished", "failed", "not finished"]
    lines = study_markdown(report).splitlines()
    (top,), (bottom,) = ([line for line in lines if line.startswith(f"| {title} ")] for title in ("first", "second"))
    assert [cell.strip() for cell in top.split("|")[2:8]] == [
        "0.300 ± 0.100", "-", "20.12 ± 0.00", "0.250 ± 0.000", "0.250 ± 0.000", "0.500 ± 0.000",
    ]  # fmt: skip
    assert [cell.strip() for cell in bottom.split("|")[2:9]] == ["0.400", "-", "20.12", "0.250", "0.250", "-", "1 of 3"]
    assert "- second, seed 1: failed with exit code 2, see `out/s/x/1.log`" in lines
    assert "nothing" not in study_markdown(study_report("s", runs, {}, {}))  # before anything is finished


PROGRAM = """
import pathlib, signal, sys, time
name, (mode, folder, *_) = pathlib.Path(__file__).stem, sys.argv[1:]
def note(word):
    with open(pathlib.Path(folder) / "notes", "a") as file:
        file.write(name + " " + word + "\\n")
def stop(*_):
    note("saved")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note("began")
print("said something")
if mode == "fails":
    sys.exit(3)
if mode == "is stopped":
    sys.exit(128 + signal.SIGTERM)
if mode == "waits":
    time.sleep(60)
note("ended")
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs note what happens to them, in place of training and evaluation."""
    for name in ("train_gpnerf.py", "eval_gpnerf.py"):
        (tmp_path / name).write_text(PROGRAM)
    monkeypatch.setattr(execution, "_REPOSITORY", tmp_path)
    return tmp_path


def stand_in_run(root: Path, name: str, mode: str) -> Run:
    folder = root / name
    folder.mkdir()
    return Run(Row(name, name, ()), 0, 1, folder, (mode, str(folder)))


def notes(run: Run) -> list[str]:
    path = run.folder / "notes"
    return path.read_text().splitlines() if path.is_file() else []


def test_a_failed_run_does_not_keep_others_from_running(stand_in: Path) -> None:
    runs = [stand_in_run(stand_in, name, mode) for name, mode in (("a", "works"), ("b", "fails"), ("c", "works"))]
    codes: dict[str, int | None] = {}
    execution.carry_out(runs, 2, lambda run, code: codes.update({run.row.name: code}))
    assert codes == {"a": 0, "b": 3, "c": 0}
    whole = ["train_gpnerf began", "train_gpnerf ended", "eval_gpnerf began", "eval_gpnerf ended"]
    assert [notes(run) for run in runs] == [whole, ["train_gpnerf began"], whole]
    assert runs[0].log.read_text() == 2 * "said something\n"


def test_a_training_that_somebody_stops_is_neither_evaluated_nor_failed(stand_in: Path) -> None:
    run, codes = stand_in_run(stand_in, "a", "is stopped"), []
    execution.carry_out([run], 1, lambda _, code: codes.append(code))
    assert codes == [None] and notes(run) == ["train_gpnerf began"]


def test_an_interruption_lets_programs_save_and_nothing_new_begins(stand_in: Path) -> None:
    runs = [stand_in_run(stand_in, f"{mode}_{place}", mode) for place, mode in enumerate(("waits", "waits", "fails"))]
    last = stand_in_run(stand_in, "last", "waits")

    def interrupt(run: Run, code: int | None) -> None:
        assert (run, code) == (runs[2], 3)
        end = time.monotonic() + PATIENCE
        while not all(notes(run) for run in runs[:2]) and time.monotonic() < end:
            time.sleep(0.02)
        raise Stopped("as a signal does", signal.SIGTERM)

    with pytest.raises(Stopped):
        execution.carry_out([*runs, last], 3, interrupt)
    assert [notes(run) for run in runs[:2]] == 2 * [["train_gpnerf began", "train_gpnerf saved"]]
    assert "train_gpnerf ended" not in notes(last) and "eval_gpnerf began" not in notes(last)


def test_when_time_is_up_nobody_waits_for_the_programs(stand_in: Path) -> None:
    runs = [stand_in_run(stand_in, str(place), "waits") for place in range(3)]
    codes: list[int | None] = []
    execution.carry_out(runs, 2, lambda _, code: codes.append(code), seconds=0.3)
    assert codes == [] and notes(runs[2]) == []
    assert not any("ended" in note for run in runs for note in notes(run))


@pytest.mark.slow
def test_a_study_runs_resumes_and_shows_a_failure(tmp_path: Path) -> None:
    root = write_rooms(tmp_path / "root")
    small = " ".join(flags(root)).replace("--total_step 3", "")
    rows = "".join(
        f'[[row]]\nname = "{name}"\ntitle = "{name}"\nflags = "{more}"\n'
        for name, more in (("labels", "--semantic_model fc"), ("absent", "--train_scenes room_1"), ("features", ""))
    )
    study = written(tmp_path, f'config = "configs/gnt_rooms.txt"\nflags = "{small}"\nrate_periods = 2\n{rows}')
    arguments = ["--study", str(study), "--steps", "2", "--seeds", "0", "--device", "cpu", "--rootdir", str(root)]
    code, said = launch(1, "scripts/run_study.py", [*arguments, "--jobs", "2"], tmp_path / "log", ())
    assert code == 2 and "1 runs failed" in said and "2 of 3 runs are finished" in said
    folder = root / "out/mine_2"
    report = json.loads((folder / "table.json").read_text())
    states = {name: row["seeds"]["0"]["state"] for name, row in report["rows"].items()}
    assert states == {"labels": "finished", "absent": "failed", "features": "finished"}
    assert "room_1" in Path(report["rows"]["absent"]["seeds"]["0"]["log"]).read_text()
    for name in ("labels", "features"):
        numbers = report["rows"][name]["seeds"]["0"]
        measured = json.loads(next((folder / name / "seed_0").glob("eval/*/metrics.json")).read_text())
        assert measured["checkpoint"]["step"] == 2 and numbers["psnr"] == measured["overall"]["psnr"]
        assert numbers[SECONDS] > 0 and (numbers["miou_query"] is None) == (name == "labels")
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.parent != folder}
    run_here("scripts/run_study.py", *arguments, "--rows", "labels", "features")
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.parent != folder}
    table = (folder / "table.md").read_text()
    assert "failed" not in table and "0 of 1" in table  # all rows stand in it, whichever were to be run
    study.write_text(study.read_text().replace("--semantic_model fc", "--semantic_model fc --dropout 0.3"))
    with pytest.raises(UserError, match="this run was started with dropout = 0"):
        run_here("scripts/run_study.py", *arguments)


def test_an_outcome_has_the_scores_that_there_are(tmp_path: Path) -> None:
    run = Run(Row("a", "a", ()), 0, 5, tmp_path, ())
    found = outcome_of(run, {"overall": {"psnr": 20.0}})
    assert found.numbers == {**dict.fromkeys(SCORES), "psnr": 20.0, SECONDS: None}
