"""A run that is stopped by a signal, at any step and with any number of loaders, goes on as if it never was."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from launched import TORCHRUN, children, launch, lines, start, wait_for
from tiny_runs import assert_same_content, checkpoint, flags, losses, steps, training, write_rooms

from gpnerf.assembly import build_training
from gpnerf.checkpoint import newest_checkpoint
from gpnerf.config import parse
from gpnerf.errors import Stopped, UserError
from gpnerf.tracking import Tracker
from gpnerf.training import loop

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Sends this process a signal in the middle of a step."""
    train_step = loop.train_step

    def arrange(step: int, number: int) -> None:
        def watched(state: object, *rest: object, **more: object) -> object:
            report = train_step(state, *rest, **more)
            if state.step == step:
                signal.raise_signal(number)
            return report

        monkeypatch.setattr(loop, "train_step", watched)

    return arrange


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_after_the_next_step_and_nothing_is_lost(
    root: Path, signal_at: Callable[[int, int], None], number: signal.Signals
) -> None:
    more = ("--expname", "two", "--total_step", 6, "--accumulate_steps", 2)
    training(root, *more[2:], "--expname", "one").run()
    signal_at(1, number)
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=rf"stopped by {number.name} after step 3: .*the same command goes on") as end:
        training(root, *more, "--save_interval", 100).run()
    assert end.value.code == 128 + number
    assert signal.getsignal(number) == before
    assert steps(root, "two") == [3]
    training(root, *more, "--num_workers", 1).run()
    assert [line for line in losses(root, "two") if "loss/total" in line] == [
        line for line in losses(root, "one") if "loss/total" in line
    ]
    assert_same_content(checkpoint(root, "two", 6), checkpoint(root, "one", 6))


def test_a_signal_while_validating_ends_at_once_and_validation_is_made_up_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("gpnerf.evaluation.run.evaluate_view", interrupted)
        with pytest.raises(Stopped, match="stopped by SIGTERM; the same command goes on from what is saved"):
            training(root, "--expname", "two").run()
    assert steps(root, "two") == [3]
    assert not any("validation" in line for line in losses(root, "two"))
    training(root, "--expname", "two").run()
    assert losses(root, "two") == losses(root, "gpnerf")[:4]


@pytest.mark.parametrize(
    ("keep", "expected"), [(0, [2, 4, 6, 8, 10]), (1, [10]), (2, [8, 10]), (3, [6, 8, 10]), (9, [2, 4, 6, 8, 10])]
)
def test_checkpoints_are_bounded(root: Path, keep: int, expected: list[int]) -> None:
    more = ("--expname", "many", "--save_interval", 2, "--lrate_gnt", 1e-3, "--keep_checkpoints", keep)
    run = training(root, *more)
    for step in range(1, 11):  # every second one as a stop leaves it
        run.state.step = step
        run._save(Tracker(run.folder, enabled=False))
        assert {step, step - 1} - {0} <= set(steps(root, "many"))
    assert steps(root, "many") == sorted({9, *expected})


def test_other_data_than_at_the_start_is_refused(root: Path) -> None:
    split = root / "train.txt"
    split.write_text("room_0000\nroom_9000\n")
    more = ("--expname", "split", "--train_scenes", "--train_set_list", split, "--total_step", 6)
    arguments = [word for word in flags(root, *more) if word != "room_0000"]
    build_training(parse([*arguments, "--total_step", "3"])).run()
    build_training(parse(arguments))
    split.write_text("room_0000\n")
    with pytest.raises(UserError, match=r"model_000003.pth: this run was started from other training data .*--expname"):
        build_training(parse(arguments))
    assert build_training(parse([*arguments, "--no_reload"])).state.step == 0


def test_what_was_logged_before_the_folder_was_there_is_in_its_log(root: Path) -> None:
    training(root, "--expname", "new", "--ckpt_path", root / "out/gpnerf/model_000006.pth").run()
    text = (root / "out/new/log.txt").read_text()
    assert text.index("tensors loaded") < text.index("step 0 of 3, 1 process, cpu") < text.index("step 1: loss")
    with pytest.raises(UserError):
        training(root, "--expname", "failed", "--ckpt_path", root / "absent.pth")
    assert not (root / "out/failed").exists()


def alone_with_two_targets(root: Path) -> list[str]:
    training(root, "--expname", "alone", "--accumulate_steps", 2, "--total_step", 3, "--save_interval", 2000).run()
    return losses(root, "alone")[:3]


def assert_alike(one: list[str], other: list[str]) -> None:
    """The same numbers to rounding, of runs with dropout, jitter and drawn sources and pixels."""
    for left, right in zip(map(json.loads, one), map(json.loads, other), strict=True):
        assert left == pytest.approx(right, rel=1e-3)


@pytest.mark.slow
def test_two_processes_stopped_by_their_launcher_go_on_exactly(tmp_path: Path) -> None:
    root, log = write_rooms(tmp_path), tmp_path / "log"
    endless = flags(root, "--expname", "two", "--total_step", 4000, "--save_interval", 2000, "--num_workers", 1)
    launcher = ("torch.distributed.launch", "--standalone")  # passes --local-rank to the script
    process = start(2, "train_gpnerf.py", endless, log, launcher)
    wait_for(lambda: lines(root / "out/two/losses.jsonl") >= 3, process, log)
    workers = children(process.pid)
    process.terminate()
    assert process.wait(60) != 0
    said = log.read_text()
    assert len(workers) == 2 and not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    stopped = re.search(r"stopped by SIGTERM after step (\d+): it is saved, and the same command goes on", said)
    assert stopped, said[-3000:]
    assert "a loader process died" not in said and "Error in" not in said
    last = int(stopped[1]) + 3
    assert steps(root, "two") == [last - 3]
    for name in ("two", "one"):  # goes on without loader processes; never stopped
        more = ("--expname", name, "--total_step", last, "--save_interval", 2000, "--num_workers", 0)
        code, said = launch(2, "train_gpnerf.py", flags(root, *more), log, TORCHRUN)
        assert code == 0, said[-3000:]
    assert losses(root, "two") == losses(root, "one")
    assert_same_content(checkpoint(root, "two", last), checkpoint(root, "one", last))
    assert len(checkpoint(root, "two", last)["consumed"]) == 2
    assert_alike(losses(root, "one")[:3], alone_with_two_targets(root))
    counted = checkpoint(root, "one", last)["class_counts"]
    assert 0 < int(counted.sum()) <= 2 * last * 32 * 40  # each pixel of each target once
    assert newest_checkpoint(root / "out/two") is not None
