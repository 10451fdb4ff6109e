"""Every fault of a run ends it with exactly one `error:` line that says what and where, and a non-zero exit code."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiny_runs import EVALUATION_SCENES, REPOSITORY, TRAINING_SCENE, assert_same_content, flags

import eval_gpnerf
import ft_gpnerf
import train_gpnerf
from gpnerf.assembly import build_evaluation
from gpnerf.checkpoint import load_checkpoint
from gpnerf.config import parse
from gpnerf.errors import UserError, run_script

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

PROGRAMS = {"train_gpnerf.py": train_gpnerf, "ft_gpnerf.py": ft_gpnerf, "eval_gpnerf.py": eval_gpnerf}
SCENE = EVALUATION_SCENES[0]


@pytest.fixture
def error_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs a program that must fail, and gives its one line."""

    def run(program: str, arguments: Sequence[object]) -> str:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        monkeypatch.chdir(REPOSITORY)
        with pytest.raises(SystemExit) as exit_:
            run_script(PROGRAMS[program].main)
        assert exit_.value.code == 2
        return only_error(capsys.readouterr().err)

    return run


def only_error(stderr: str) -> str:
    """The last line, which must be the only error, with no traceback before it."""
    lines = stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], stderr
    assert "Traceback" not in stderr
    return lines[-1]


def checkpoint_flags(root: Path) -> tuple[object, ...]:
    return ("--ckpt_path", root / "out/gpnerf/model_000006.pth")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def first_fifteen(path: Path) -> None:
    path.write_text(" ".join(path.read_text().split()[:15]))


def nan(path: Path) -> None:
    path.write_text(" ".join(["nan", *path.read_text().split()[1:]]))


def all_nan(path: Path) -> None:
    for pose in path.iterdir():
        nan(pose)


# The fault lies in this file of an evaluated scene; frame 4 is a target.
FAULTS: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("color/4.png", cut_in_half, ["expected", "cannot be decoded"]),
    ("pose/4.txt", first_fifteen, ["frame 4", "expected 16 numbers", "found 15"]),
    ("pose", all_nan, ["expected poses", "found inf, NaN or zeros in all 14", "export"]),
    ("intrinsic/intrinsic_color.txt", Path.unlink, ["expected", "found no such file"]),
]


@pytest.mark.parametrize(("file", "fault", "words"), FAULTS)
def test_faults_of_the_data(
    root: Path, error_line: Callable[..., str], file: str, fault: Callable[[Path], object], words: list[str]
) -> None:
    path = root / "data/rooms" / SCENE / file
    fault(path)
    line = error_line("eval_gpnerf.py", flags(root))
    assert all(word in line for word in [str(path), *words]), line


def test_one_pose_with_nan_costs_that_frame_only(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "data/rooms" / SCENE / "pose/7.txt"
    nan(path)
    results = build_evaluation(parse(flags(root))).run()
    (warning,) = [record.getMessage() for record in caplog.records if "NaN" in record.getMessage()]
    assert str(path) in warning and "dropped 1 of 14 frames" in warning
    assert results["scenes"][SCENE]["mean"]["psnr"] > 0
    assert all(7 not in view["sources"] for view in results["protocol"]["resolved"][SCENE])


@pytest.mark.parametrize("program", ["eval_gpnerf.py", "ft_gpnerf.py", "train_gpnerf.py"])
def test_absent_scene(root: Path, error_line: Callable[..., str], program: str) -> None:
    split = root / "split.txt"
    split.write_text(f"{SCENE}\nroom_1234\n")
    line = error_line(program, flags(root, "--val_set_list", split, "--total_step", 6, *checkpoint_flags(root)))
    assert all(word in line for word in [str(root / "data/rooms/room_1234"), "no such scene", "make_rooms.py"]), line


def test_absent_training_scene(root: Path, error_line: Callable[..., str]) -> None:
    line = error_line("train_gpnerf.py", flags(root, "--train_scenes", TRAINING_SCENE, "room_1234"))
    assert "data/rooms/room_1234: expected rooms data" in line


@pytest.mark.parametrize("program", ["eval_gpnerf.py", "train_gpnerf.py"])
def test_fewer_frames_than_source_views(root: Path, error_line: Callable[..., str], program: str) -> None:
    line = error_line(program, flags(root, "--num_source_views", 30, "--expname", "many", *checkpoint_flags(root)))
    assert all(word in line for word in ["room_", "expected 30 source views for frame", "found", "--num_source_views"])


@pytest.mark.parametrize("program", ["eval_gpnerf.py", "train_gpnerf.py", "ft_gpnerf.py"])
def test_checkpoint_of_other_width(root: Path, error_line: Callable[..., str], program: str) -> None:
    line = error_line(program, flags(root, "--netwidth", 16, "--expname", "wide", *checkpoint_flags(root)))
    assert all(word in line for word in ["model_000006.pth", "trained with netwidth = 8", "the flags say 16"]), line


@pytest.mark.parametrize("program", ["eval_gpnerf.py", "train_gpnerf.py", "ft_gpnerf.py"])
def test_truncated_checkpoint(root: Path, error_line: Callable[..., str], program: str) -> None:
    path = root / "out/gpnerf/model_000006.pth"
    cut_in_half(path)
    line = error_line(program, flags(root, "--expname", "new", *checkpoint_flags(root)))
    words = [str(path), "not a complete checkpoint", "truncated", "earlier one"]
    assert all(word in line for word in words), line
    if program != "ft_gpnerf.py":  # the run folder's own, without being named
        cut_in_half(root / "out/gpnerf/model_000003.pth")
        assert "found 2 damaged ones" in error_line(program, flags(root, "--total_step", 9))


def test_misspelt_key(root: Path, error_line: Callable[..., str]) -> None:
    (config := root / "my.txt").write_text("netwidht = 8\n")
    line = error_line("train_gpnerf.py", ["--config", config])
    assert str(config) in line and "'netwidht'" in line and "'netwidth'" in line


# The commands of the README and what must be under the root folder for them.
COMMANDS = [
    ("train_gpnerf.py", "gnt_scannet", "scannet", "scan-net.org"),
    ("ft_gpnerf.py", "gnt_scannet_ft", "scannet", "scan-net.org"),
    ("eval_gpnerf.py", "gnt_scannet", "scannet", "scan-net.org"),
    ("train_gpnerf.py", "gnt_replica", "Replica", "semantic_nerf"),
    ("ft_gpnerf.py", "gnt_replica_ft", "Replica", "semantic_nerf"),
    ("eval_gpnerf.py", "gnt_replica", "Replica", "semantic_nerf"),
    ("train_gpnerf.py", "gnt_rooms", "rooms", "scripts/make_rooms.py"),
    ("eval_gpnerf.py", "gnt_rooms", "rooms", "scripts/make_rooms.py"),
    ("eval_gpnerf.py", "gnt_own", "posed_images", "COLMAP"),
]


@pytest.mark.parametrize(("program", "config", "folder", "source"), COMMANDS)
def test_missing_data_of_every_preset(
    finished: Path, tmp_path: Path, error_line: Callable[..., str], program: str, config: str, folder: str, source: str
) -> None:
    command = ["--config", f"configs/{config}.txt", "--rootdir", tmp_path, *checkpoint_flags(finished)]
    line = error_line(program, command)
    words = [str(tmp_path / "data" / folder), "expected", "found no such folder", source, "--rootdir"]
    assert all(word in line for word in words), line


def test_missing_data_of_every_launch_entry(tmp_path: Path, error_line: Callable[..., str]) -> None:
    entries = json.loads((REPOSITORY / ".vscode/launch.json").read_text())["configurations"]
    assert len(entries) > 5  # their names are those of test_flags.py
    for entry in entries:
        program = Path(entry["program"]).name
        assert entry["program"] == f"${{workspaceFolder}}/{program}" and entry["cwd"] == "${workspaceFolder}"
        line = error_line(program, [*entry["args"], "--rootdir", tmp_path])
        assert f"{tmp_path}/data/" in line and "found no such folder" in line, line


def test_full_disk_keeps_the_older_checkpoint(
    root: Path, error_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    older = load_checkpoint(root / "out/gpnerf/model_000006.pth")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("gpnerf.checkpoint.files.os.fsync", full)
    line = error_line("train_gpnerf.py", flags(root, "--total_step", 9))
    path = root / "out/gpnerf/model_000009.pth"
    assert all(word in line for word in [str(path), "could not be written", "No space left", "free some disk space"])
    assert sorted(p.name for p in path.parent.glob("*model*")) == ["model_000003.pth", "model_000006.pth"]
    assert sorted(p.name for p in path.parent.glob(".*.tmp")) == []
    assert_same_content(load_checkpoint(root / "out/gpnerf/model_000006.pth"), older)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_while_evaluating(
    root: Path, error_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # keep this file, which is always full
    folder = build_evaluation(parse(flags(root))).settings.folder
    folder.mkdir(parents=True)
    (folder / "views.jsonl").symlink_to("/dev/full")
    assert "cannot be written (No space left on device); free some space" in error_line("eval_gpnerf.py", flags(root))


def test_other_exceptions_keep_their_traceback() -> None:
    def fail(error: Exception) -> Callable[[], None]:
        def main() -> None:
            raise error

        return main

    for error in (ValueError("a mistake of the program"), FileNotFoundError(errno.ENOENT, "gone", "x")):
        with pytest.raises(type(error)):
            run_script(fail(error))


def test_line_breaks_of_a_message_are_removed(capsys: pytest.CaptureFixture) -> None:
    def main() -> None:
        raise UserError("model.pth: cannot be read\n  (a library's\ntext)")

    with pytest.raises(SystemExit):
        run_script(main)
    assert capsys.readouterr().err == "error: model.pth: cannot be read (a library's text)\n"


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("train_gpnerf.py", ["--config", "configs/gnt_scannet.txt"], ["data/scannet", "no such folder"]),
        ("eval_gpnerf.py", ["--config", "configs/gnt_rooms.txt", "--netwidth", "9"], ["netwidth", "multiple of 8"]),
    ],
)
def test_in_a_process_of_its_own(tmp_path: Path, program: str, arguments: list[str], words: list[str]) -> None:
    command = [sys.executable, program, *arguments, "--rootdir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert all(word in only_error(done.stderr) for word in words)
    assert not list(tmp_path.iterdir())
