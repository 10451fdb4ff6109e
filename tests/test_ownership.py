"""A folder has one owner: others are told who, a dead one keeps nothing, and no trace is left."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import EVALUATION_SCENES, REPOSITORY, flags, training

from gpnerf.assembly import build_evaluation, build_finetuning
from gpnerf.assembly.reconstruction import GeometryRequest, export_geometry
from gpnerf.assembly.video import VideoRequest, build_video
from gpnerf.config import parse
from gpnerf.errors import UserError
from gpnerf.fusion.reconstruction import FusionSettings
from gpnerf.ownership import made_whole, own, owned
from gpnerf.video.film import Film

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

SCENE = EVALUATION_SCENES[0]
OWNER = """
import pathlib, sys, time
from gpnerf.ownership import own
held = own(pathlib.Path(sys.argv[1]))
print("owned", flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner() -> Iterator[Callable[[Path], subprocess.Popen]]:
    """Starts a process that owns a folder."""
    started = []

    def start(folder: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", OWNER, str(folder)]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "owned\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_another_process_is_told_who_owns_a_folder_and_a_dead_one_keeps_nothing(
    tmp_path: Path, owner: Callable[[Path], subprocess.Popen], number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = owner(folder)
    said = rf"{folder}: .* process {process.pid} on {socket.gethostname()} .*--expname"
    for _ in range(2):  # asking changes nothing
        with pytest.raises(UserError, match=said) as error, owned(folder):
            pass
        assert "\n" not in str(error.value)
    process.send_signal(number)
    process.wait()
    with owned(folder):
        assert f"process {os.getpid()} " in (folder / ".lock").read_text()
    assert not list(tmp_path.rglob(".lock"))


def test_one_process_may_ask_again_and_leaves_no_trace(tmp_path: Path) -> None:
    first, second = own(tmp_path / "a"), own(tmp_path / "b/../a")
    assert first is second
    del first
    assert (tmp_path / "a/.lock").is_file()
    del second
    assert not (tmp_path / "a").exists()  # it was made for the lock alone
    (tmp_path / "a").mkdir()
    with pytest.raises(ZeroDivisionError), owned(tmp_path / "a"):
        raise ZeroDivisionError
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/run/.lock: cannot be written \(Not a directory\)"):
        own(tmp_path / "file/run")


def tuned(root: Path) -> Any:
    start = root / "out/gpnerf/model_000006.pth"
    return build_finetuning(parse(flags(root, "--expname", "ft", "--ckpt_path", start))).run()


def exported(root: Path) -> Any:
    return export_geometry(parse(flags(root)), GeometryRequest(SCENE, True, 4, FusionSettings(0.2, 3.0, 1, 1.0)))


def filmed(root: Path) -> Any:
    request = VideoRequest(SCENE, "orbit", 2, (), None, None, Film(10, separate=False, strip=0))
    return build_video(parse(flags(root)), request).run()


# What every program writes to, and the program.
PROGRAMS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "train": ("out/gpnerf", lambda root: training(root, "--total_step", 9)),
    "train afresh": ("out/gpnerf", lambda root: training(root, "--no_reload")),
    "ft": ("out/ft", tuned),
    "eval": ("out/gpnerf/eval/{}", lambda root: build_evaluation(parse(flags(root))).run()),
    "mesh": (f"out/gpnerf/geometry/{SCENE}/true", exported),
    "video": (f"out/gpnerf/video/{SCENE}/orbit", filmed),
}


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_no_program_writes_where_another_does(
    root: Path, owner: Callable[[Path], subprocess.Popen], program: str
) -> None:
    pytest.importorskip({"mesh": "trimesh", "video": "imageio_ffmpeg"}.get(program, "gpnerf"))
    place, run = PROGRAMS[program]
    folder = root / place.format(build_evaluation(parse(flags(root))).folder.name)
    process = owner(folder)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(UserError, match=rf"process {process.pid} on "):
        run(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if ".lock" not in path.name} == {
        path: when for path, when in before.items() if ".lock" not in path.name
    }


def test_an_evaluation_beside_a_training_is_possible_and_two_of_one_kind_are_not(
    root: Path, owner: Callable[[Path], subprocess.Popen]
) -> None:
    owner(root / "out/gpnerf")
    results = build_evaluation(parse(flags(root))).run()
    (views,) = root.glob("out/gpnerf/eval/*/views.jsonl")
    assert len(views.read_text().splitlines()) == sum(len(part["images"]) for part in results["scenes"].values())


def test_a_folder_appears_whole_and_is_made_by_one_process(tmp_path: Path) -> None:
    goal = tmp_path / "scenes/one"
    left = goal.with_name(".one.partial")
    left.mkdir(parents=True)
    (left / "of a killed run").touch()
    with made_whole(goal) as partial:
        partial.mkdir()
        (partial / "file").touch()
        assert not goal.exists()
        with pytest.raises(UserError, match=rf"{goal}: expected a folder that no other program"):
            in_another_process("from gpnerf.ownership import made_whole\nmade_whole(path).__enter__()", goal)
    assert [path.name for path in goal.parent.iterdir()] == ["one"] and [path.name for path in goal.iterdir()] == [
        "file"
    ]
    with pytest.raises(ZeroDivisionError):
        fail_while_making(tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
    with pytest.raises(UserError, match="one: expected a folder that is not there yet"), made_whole(goal) as partial:
        partial.mkdir()


def fail_while_making(folder: Path) -> None:
    with made_whole(folder) as partial:
        partial.mkdir()
        raise ZeroDivisionError


def in_another_process(code: str, path: Path) -> None:
    """Run code about a `path`; its error is raised here."""
    command = [sys.executable, "-c", f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{code}", str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.splitlines()[-1].split("UserError: ")[-1])
