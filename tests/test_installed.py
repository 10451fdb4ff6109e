"""The package as `pip install .` leaves it: commands, presets, protocols and split files, in any working folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_load import write_checkpoint
from tiny_runs import REPOSITORY, flags, write_rooms

from gpnerf.config import parse
from gpnerf.data.splits import read_split

_SOURCES = ("gpnerf", "configs", "train_gpnerf.py", "ft_gpnerf.py", "eval_gpnerf.py", "setup.py", "pyproject.toml")
# What a user does from Python, in a folder that has nothing of the clone; prints what the test compares.
_FROM_PYTHON = """
import json, sys
import gpnerf
from gpnerf.assembly.data import data_source, scene_names
from gpnerf.config import parse

shown = {"package": gpnerf.__file__}
config = parse(["--config", "configs/gnt_rooms_ft.txt"])
source = data_source(config, config.data.eval_dataset)
shown["scenes"] = scene_names(config, source.protocol, "evaluation")
config = parse(["--config", "gnt_rooms.txt", "--protocol", "configs/protocols/rooms_bench.json"])
shown["bench"] = data_source(config, config.data.eval_dataset).protocol.name
shown["classes"] = gpnerf.load(sys.argv[1], "cpu").class_names
print(json.dumps(shown))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package and nothing else; its dependencies are this environment's."""
    pytest.importorskip("setuptools")
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("installed")
    for name in (*_SOURCES, "requirements.txt"):
        source, copy = REPOSITORY / name, folder / "source" / name
        (folder / "source").mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--target", str(folder / "site")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def in_folder(folder: Path, site: Path, *command: object) -> str:
    """What a command prints that is run in an empty folder with the installed package."""
    folder.mkdir(exist_ok=True)
    environ = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([*map(str, command)], cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_config_travels(site: Path) -> None:
    def listed(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert listed(site / "gpnerf" / "configs") == listed(REPOSITORY / "configs")
    assert {path.name for path in (site / "bin").iterdir()} >= {"gpnerf-train", "gpnerf-finetune", "gpnerf-eval"}


@pytest.mark.slow
def test_a_command_trains_where_it_is_called(site: Path, tmp_path: Path) -> None:
    work = write_rooms(tmp_path / "work")
    given = flags(work, "--config", "gnt_rooms.txt", "--total_step", 1, "--save_interval", 2, "--expname", "mine")
    place = given.index("--rootdir")
    del given[place : place + 2]  # data/ and out/ of the working folder
    in_folder(work, site, site / "bin" / "gpnerf-train", *given)
    assert (work / "out" / "mine" / "model_000001.pth").is_file()


@pytest.mark.slow
def test_help_and_presets_protocols_and_weights_from_python(site: Path, tmp_path: Path) -> None:
    weights = write_checkpoint(tmp_path)
    assert "--ckpt_path" in in_folder(tmp_path / "empty", site, site / "bin" / "gpnerf-eval", "--help")
    shown = json.loads(in_folder(tmp_path / "empty", site, sys.executable, "-c", _FROM_PYTHON, weights))
    assert Path(shown["package"]) == site / "gpnerf" / "__init__.py"
    assert tuple(shown["scenes"]) == read_split(REPOSITORY / "configs" / "rooms_ft_split.txt")
    assert shown["bench"] == "rooms_bench" and shown["classes"] == ["wall", "floor", "chair"]


def test_a_file_of_the_working_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = parse(["--config", "configs/gnt_rooms.txt"])
    assert parse(["--config", "gnt_rooms.txt"]) == shipped and shipped.run.expname == "gnt_rooms"
    (tmp_path / "gnt_rooms.txt").write_text("expname = mine\n")
    assert parse(["--config", "gnt_rooms.txt"]).run.expname == "mine"
    assert parse(["--config", "configs/gnt_rooms.txt"]) == shipped
