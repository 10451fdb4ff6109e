"""What a run survives: damaged files, killed processes and loaders, a full disk. Real processes are really killed."""

import json
import multiprocessing
import os
import random
import re
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from launched import TORCHRUN, children, start, wait_for
from tiny_runs import assert_same_content, checkpoint, flags, losses, steps, training, write_rooms

from gpnerf.checkpoint import checkpoint_path, load_checkpoint, newest_checkpoint, save_checkpoint
from gpnerf.errors import UserError
from gpnerf.evaluation.results import write_results
from gpnerf.training import loop
from gpnerf.training.stream import Stream, readable

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

FOOTER = 79  # bytes of the checksum at the end of a file
CONTENT = {"model": {"weight": torch.arange(500.0)}, "step": 5}


def flipped(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model_000005.pth"
    save_checkpoint(path, CONTENT)
    whole = path.read_bytes()
    rng = random.Random(0)
    damaged = [flipped(whole, place, rng.randrange(8)) for place in range(0, len(whole), 7)]
    damaged += [flipped(whole, len(whole) - back, rng.randrange(8)) for back in range(1, 110)]
    cuts = {*range(0, len(whole), 61), *range(len(whole) - 110, len(whole))}
    damaged += [whole[:length] for length in cuts - {len(whole) - FOOTER}]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"model_000005.pth: not a complete checkpoint"):
            load_checkpoint(path)
    for content in (whole, whole[:-FOOTER]):  # the second has all of the content and nothing to check it by
        path.write_bytes(content)
        assert_same_content(load_checkpoint(path), CONTENT)
    assert_same_content(torch.load(path, weights_only=True), CONTENT)  # other programs read it too


def test_a_file_of_another_program_has_no_checksum_and_is_read(tmp_path: Path) -> None:
    for form in (True, False):
        torch.save(CONTENT, tmp_path / "other.pth", _use_new_zipfile_serialization=form)
        assert_same_content(load_checkpoint(tmp_path / "other.pth"), CONTENT)


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_newest_checkpoint_is_passed_over(root: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    newest, expected, logged = (
        root / "out/gpnerf/model_000006.pth",
        checkpoint(root, "gpnerf", 6),
        losses(root, "gpnerf"),
    )
    data = newest.read_bytes()
    newest.write_bytes(data[: len(data) // 2] if damage == "cut" else flipped(data, len(data) // 2, 3))
    run = training(root, "--total_step", 6)
    assert run.state.step == 3
    assert any(record.getMessage().startswith(f"passed over: {newest}: ") for record in caplog.records)
    run.run()
    assert losses(root, "gpnerf") == logged
    assert_same_content(checkpoint(root, "gpnerf", 6), expected)


def test_a_run_without_any_whole_checkpoint_is_not_started_anew_by_itself(root: Path) -> None:
    for path in (root / "out/gpnerf").glob("model_*.pth"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"out/gpnerf: expected a whole checkpoint, found 2 damaged ones.*--no_reload"):
        training(root)
    assert training(root, "--no_reload").state.step == 0


def killed_at_random(work: Callable[[], None], seconds: float) -> None:
    """Run `work` in a copy of this process that is killed after some time."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_kill_9_while_files_are_written_leaves_whole_ones(tmp_path: Path) -> None:
    """Of many kills most come in the middle of a file: nothing else is done in between."""
    large = {"model": {"weight": torch.zeros(500_000)}}
    results = {"overall": {"psnr": 1.0}, "scenes": {str(scene): {"mean": {"psnr": 1.0}} for scene in range(999)}}
    results |= {"protocol": {"name": "x", "sha256": "0"}, "checkpoint": {"path": "p", "step": 1}, "per_class_iou": {}}
    results |= {"environment": {"device": "cpu", "torch": "2"}}

    def work() -> None:
        step = int((newest_checkpoint(tmp_path) or Path("model_0")).stem[6:])
        while True:
            step += 1
            save_checkpoint(checkpoint_path(tmp_path, step), {**large, "step": step})
            checkpoint_path(tmp_path, step - 2).unlink(missing_ok=True)
            write_results(tmp_path, results)

    rng, unfinished, kills = random.Random(1), 0, 0
    while kills < 12 or (not unfinished and kills < 200):  # on a busy machine fewer come in the middle
        kills += 1
        killed_at_random(work, 0.03 + 0.1 * rng.random())
        unfinished += len(list(tmp_path.glob(".*.tmp")))
        if newest := newest_checkpoint(tmp_path):
            assert load_checkpoint(newest)["step"] == int(newest.stem[6:])
        for path in [*tmp_path.glob("model_*.pth")]:
            load_checkpoint(path)
        if (tmp_path / "metrics.json").exists():
            assert json.loads((tmp_path / "metrics.json").read_text()) == results
    assert unfinished and newest_checkpoint(tmp_path)


@pytest.mark.slow
def test_a_loader_that_is_killed_is_replaced_and_no_bit_changes(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train_step = loop.train_step

    def watched(state: object, *rest: object, **more: object) -> object:
        if state.step == 1:
            (loader,) = multiprocessing.active_children()
            os.kill(loader.pid, signal.SIGKILL)
        return train_step(state, *rest, **more)

    monkeypatch.setattr(loop, "train_step", watched)
    training(root, "--total_step", 6, "--expname", "killed", "--num_workers", 1).run()
    assert any("a loader process died and is replaced" in record.getMessage() for record in caplog.records)
    assert losses(root, "killed") == losses(root, "gpnerf")
    assert_same_content(checkpoint(root, "killed", 6), checkpoint(root, "gpnerf", 6))
    assert not multiprocessing.active_children()


def test_loaders_that_keep_dying_end_the_run(root: Path) -> None:
    run = training(root, "--expname", "dying")
    opened = []

    def stream(start: int) -> Stream:
        opened.append(start)
        yield run.examples[(0, start)]
        raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")

    with pytest.raises(UserError, match=r"loader processes died 4 times .*--num_workers"):
        list(readable(run.state, stream))
    assert opened == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), FileNotFoundError(2, "gone", "x.jpg")])
def test_other_errors_of_a_stream_are_not_taken_for_a_death(root: Path, error: Exception) -> None:
    def stream(start: int) -> Stream:
        raise error
        yield

    with pytest.raises(type(error)):
        list(readable(training(root, "--expname", "wrong").state, stream))


@pytest.mark.slow
def test_when_a_process_is_killed_the_others_end_and_the_run_goes_on(tmp_path: Path) -> None:
    root, log = write_rooms(tmp_path), tmp_path / "log"
    more = ("--expname", "two", "--total_step", 4000, "--save_interval", 2, "--num_workers", 0)
    process = start(2, "train_gpnerf.py", flags(root, *more, "--val_set_list", one_scene(root)), log, TORCHRUN)
    wait_for(lambda: len(steps(root, "two")) >= 2, process, log)
    last = next(pid for pid in children(process.pid) if b"\0RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes())
    os.kill(last, signal.SIGKILL)
    assert process.wait(60) != 0
    said = log.read_text()
    assert "error: another process of this run has ended" in said or "stopped by SIGTERM" in said, said[-3000:]
    newest = newest_checkpoint(root / "out/two")
    assert newest is not None and load_checkpoint(newest)["step"] == int(newest.stem[6:])
    assert training(root, "--expname", "two", "--total_step", 4000, "--save_interval", 2).state.step > 0


def one_scene(root: Path) -> Path:
    (root / "one.txt").write_text("room_9000\n")
    return root / "one.txt"


@pytest.mark.slow
def test_a_full_disk_ends_all_processes_with_one_line_and_the_older_checkpoint_stays(tmp_path: Path) -> None:
    root, log = write_rooms(tmp_path), tmp_path / "log"
    training(root, "--expname", "two").run()
    older = checkpoint(root, "two", 3)
    # No file may grow beyond 300 kB, which is less than a checkpoint.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        more = ("--expname", "two", "--total_step", 5, "--save_interval", 5)
        process = start(2, "train_gpnerf.py", flags(root, *more), log, TORCHRUN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert process.wait(200) != 0
    said = re.findall(r"error: \S+model_000005.pth: the checkpoint could not be written .*disk space", log.read_text())
    assert len(said) == 2, log.read_text()[-3000:]  # of both processes
    assert steps(root, "two") == [3] and not list((root / "out/two").glob(".*.tmp"))
    assert_same_content(checkpoint(root, "two", 3), older)
