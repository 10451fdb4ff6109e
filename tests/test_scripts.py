"""The scripts parse, pass flags that the programs know, and the entry scripts stay short."""

import ast
import os
import shutil
import subprocess
import sys
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


def test_quickstart_ends_where_training_was_stopped(calls: Path) -> None:
    python = calls.parent / "bin/python"
    python.write_text(python.read_text() + "[[ $1 != train_gpnerf.py ]] || exit 143\n")
    done = subprocess.run(["bash", str(calls.parent / "scripts/quickstart.sh"), "--from-scratch"], capture_output=True)
    assert done.returncode == 143
    assert [call.split()[0] for call in calls.read_text().split("----\n") if call][-1] == "train_gpnerf.py"


def imported(path: Path) -> list[str]:
    """The packages that a script imports, in its order."""
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.names[0].name if isinstance(node, ast.Import) else str(node.module) for node in nodes]
    return [name.split(".")[0] for name in names]


@pytest.mark.parametrize(
    "path", [*REPOSITORY.glob("*_gpnerf.py"), *REPOSITORY.glob("scripts/*.py")], ids=lambda path: path.name
)
def test_no_script_loads_pytorch_before_it_is_said_how_its_threads_wait(path: Path) -> None:
    of_pytorch = {"torch", "torchvision", "lpips"}
    assert next(name for name in imported(path) if name in {"gpnerf", *of_pytorch}) == "gpnerf"


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({}, "GOMP_SPINCOUNT = '1000'"),
        ({"GOMP_SPINCOUNT": "77"}, "GOMP_SPINCOUNT = '77'"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "GOMP_SPINCOUNT = '0'"),
    ],
)
def test_pytorchs_threads_spin_briefly_while_they_wait_unless_the_user_says_so(
    users: dict[str, str], expected: str
) -> None:
    ours = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    environ |= {"OMP_DISPLAY_ENV": "VERBOSE", **users}
    command = [sys.executable, "train_gpnerf.py", "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=True)
    assert expected in done.stderr  # as the threads' library itself says


@pytest.mark.parametrize("name", ["train_gpnerf.py", "ft_gpnerf.py", "eval_gpnerf.py"])
def test_entry_scripts_are_short(name: str) -> None:
    assert len((REPOSITORY / name).read_text().splitlines()) <= 80
