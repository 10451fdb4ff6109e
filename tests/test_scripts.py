"""The scripts parse, pass flags that the programs know, and the entry scripts stay short."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_runs import REPOSITORY

from gpnerf.config import parse

# Stands in for python: notes its arguments, one a line, and a rule under each call.
PYTHON = """#!/usr/bin/env bash
printf '%s\\n' "$@" "----" >>"$CALLS"
"""


@pytest.mark.parametrize("path", sorted((REPOSITORY / "scripts").glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_parse(path: Path) -> None:
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the scripts in `tmp_path` whose python does nothing but note what it was given, in this file."""
    shutil.copytree(REPOSITORY / "scripts", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(PYTHON)
    (tmp_path / "bin/python").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))  # an active environment: none is made
    monkeypatch.setenv("CALLS", str(tmp_path / "calls.txt"))
    return tmp_path / "calls.txt"


@pytest.mark.parametrize("options", [["--smoke"], ["--from-scratch"], []])
def test_quickstart_passes_known_flags(calls: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    subprocess.run(["bash", str(calls.parent / "scripts/quickstart.sh"), *options], check=True, capture_output=True)
    monkeypatch.chdir(REPOSITORY)  # where the config files are
    commands = [call.splitlines() for call in calls.read_text().split("----\n") if call]
    rooms = [arguments for program, *arguments in commands if program == "scripts/make_rooms.py"]
    (training,) = [parse(arguments) for program, *arguments in commands if program == "train_gpnerf.py"]
    *shown, evaluation = [parse(arguments) for program, *arguments in commands if program == "eval_gpnerf.py"]
    assert training.model == evaluation.model and training.run == evaluation.run
    assert (training.optim.total_step == 20) == ("--smoke" in options)
    assert len(shown) == (0 if "--from-scratch" in options else 1)
    for each in shown:
        assert each.optim.ckpt_path == Path("weights/gnt_rooms.pth") and each.run.expname != evaluation.run.expname
        assert replace(each.run, expname=evaluation.run.expname) == evaluation.run and each.data == evaluation.data
    assert rooms
    for arguments in rooms:
        assert Path(arguments[arguments.index("--out") + 1]) == training.run.rootdir / "data/rooms"


@pytest.mark.parametrize("name", ["train_gpnerf.py", "ft_gpnerf.py", "eval_gpnerf.py"])
def test_entry_scripts_are_short(name: str) -> None:
    assert len((REPOSITORY / name).read_text().splitlines()) <= 80
