"""Whole training and fine-tuning runs: repeated, stopped and continued, started from other weights."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tiny_runs import assert_same_content, flags, training

from gpnerf.checkpoint import load_checkpoint
from gpnerf.config import parse
from gpnerf.errors import UserError

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")


def losses(root: Path, name: str = "gpnerf") -> bytes:
    return (root / "out" / name / "losses.jsonl").read_bytes()


def checkpoint(root: Path, step: int, name: str = "gpnerf") -> dict:
    return load_checkpoint(root / "out" / name / f"model_{step:06d}.pth")


def test_same_seed_same_bits_another_seed_others(root: Path) -> None:
    training(root, "--total_step", 6, "--expname", "again").run()
    training(root, "--total_step", 6, "--expname", "other", "--seed", 1).run()
    assert losses(root, "again") == losses(root) != losses(root, "other")
    assert_same_content(checkpoint(root, 6, "again"), checkpoint(root, 6))
    lines = [json.loads(line) for line in losses(root).splitlines()]
    assert [line["step"] for line in lines if "loss/total" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if "validation/psnr" in line] == [3, 6]


@pytest.mark.parametrize("workers", [1, 2])
def test_number_of_workers_changes_no_bit(root: Path, workers: int) -> None:
    training(root, "--total_step", 6, "--expname", "workers", "--num_workers", workers).run()
    assert losses(root, "workers") == losses(root)
    assert_same_content(checkpoint(root, 6, "workers"), checkpoint(root, 6))


def test_stopped_and_continued_equals_never_stopped(root: Path) -> None:
    training(root, "--expname", "two").run()
    torch.manual_seed(99)  # a new process starts with other random numbers
    training(root, "--expname", "two", "--total_step", 6).run()
    assert losses(root, "two") == losses(root)
    assert_same_content(checkpoint(root, 6, "two"), checkpoint(root, 6))


def test_killed_between_checkpoints_repeats_the_same_steps(root: Path) -> None:
    before, expected = losses(root), checkpoint(root, 6)
    (root / "out/gpnerf/model_000006.pth").unlink()
    with (root / "out/gpnerf/losses.jsonl").open("a") as file:
        file.write('{"step": 7, "loss')
    training(root, "--total_step", 6).run()
    assert losses(root) == before
    assert_same_content(checkpoint(root, 6), expected)


def test_finished_run_started_again_does_nothing(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    def files() -> dict[str, bytes]:
        folder = root / "out/gpnerf"
        return {path.name: path.read_bytes() for path in [folder / "losses.jsonl", *folder.glob("*.pth")]}

    before = files()
    training(root, "--total_step", 6, "--ckpt_path", root / "never_read.pth").run()
    assert files() == before
    assert any("never_read.pth counted at the start" in record.message for record in caplog.records)


def test_no_reload_starts_afresh_and_keeps_the_old_checkpoints(root: Path) -> None:
    old = (root / "out/gpnerf/model_000006.pth").read_bytes()
    for count in (1, 2):
        run = training(root, "--seed", count, "--no_reload")
        assert run.state.step == 0
        run.run()
        assert [json.loads(line)["step"] for line in losses(root).splitlines()] == [1, 2, 3, 3]
    kept = {path.relative_to(root / "out/gpnerf") for path in (root / "out/gpnerf").rglob("*.pth")}
    assert sorted(map(str, kept)) == [
        "model_000003.pth", "previous_1/model_000003.pth", "previous_1/model_000006.pth", "previous_2/model_000003.pth"
    ]  # fmt: skip
    assert (root / "out/gpnerf/previous_1/model_000006.pth").read_bytes() == old


@pytest.mark.parametrize(
    ("flag", "value"), [("N_rand", 17), ("seed", 3), ("netwidth", 16), ("n_p", 0), ("dropout", 0.2)]
)
def test_a_changed_flag_that_matters_is_named(root: Path, flag: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"config.txt: .* {flag} = .*, found {value} now .*--no_reload"):
        training(root, "--total_step", 6, f"--{flag}", value)


def test_a_changed_flag_that_does_not_matter_is_taken(root: Path) -> None:
    run = training(root, "--total_step", 9, "--i_print", 2, "--chunk_size", 100, "--num_workers", 1, "--cache_gb", 0)
    assert run.state.step == 6


def test_run_folder_holds_command_lines_and_the_whole_config(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train_gpnerf.py", "--expname", "a b"])
    training(root, "--total_step", 6)
    lines = (root / "out/gpnerf/args.txt").read_text().splitlines()
    assert len(lines) == 2  # this start and the one before
    assert lines[1] == "train_gpnerf.py --expname 'a b'"
    config = parse(flags(root, "--total_step", 6))
    assert parse(["--config", str(root / "out/gpnerf/config.txt")]) == config
    assert "step 6" in (root / "out/gpnerf/log.txt").read_text()


def test_ckpt_path_gives_weights_and_step_zero(root: Path) -> None:
    start = root / "out/gpnerf/model_000006.pth"
    run = training(root, "--expname", "from", "--ckpt_path", start, "--lrate_gnt", 0.25)
    assert (run.state.step, run.state.consumed, int(run.state.class_counts.sum())) == (0, 0, 0)
    assert_same_content(run.state.model.state_dict(), checkpoint(root, 6)["model"])
    assert_same_content(run.state.optimizer.state_dict()["state"], checkpoint(root, 6)["optimizer"]["state"])
    assert run.state.optimizer.param_groups[0]["lr"] == 0.25  # the config's rate, not the checkpoint's
    bare = training(root, "--expname", "bare", "--ckpt_path", start, "--no_load_opt", "--no_load_scheduler")
    assert bare.state.optimizer.state_dict()["state"] == {}
    assert bare.state.scheduler.last_epoch == 0 < run.state.scheduler.last_epoch


def test_the_configs_schedule_goes_on_from_where_the_checkpoints_was(root: Path) -> None:
    start = root / "out/gpnerf/model_000006.pth"
    flags = ("--lrate_gnt", 0.25, "--lrate_decay_steps", 4, "--lrate_decay_factor", 0.5, "--total_step", 3)
    run = training(root, "--expname", "from", "--ckpt_path", start, *flags)
    rates = []
    for _ in range(3):  # steps 6, 7, 8 of the schedule
        rates.append(run.state.optimizer.param_groups[0]["lr"])
        run.state.optimizer.step()
        run.state.scheduler.step()
    assert rates == [0.125, 0.125, 0.0625]


def test_missing_start_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match=r"absent.pth: expected a checkpoint, found no such file; check --ckpt_path"):
        training(root, "--expname", "from", "--ckpt_path", root / "absent.pth")
