"""What the tracker leaves on disk, and that a continued run leaves what an unbroken one would."""

import contextlib
import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gpnerf.errors import UserError
from gpnerf.tracking import Tracker, close_log, hold_log, write_log


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]


def board(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return events


@given(st.lists(st.floats(), min_size=1, max_size=8))
@settings(max_examples=15, deadline=None)
def test_floats_come_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("run")
    with Tracker(folder, enabled=True) as tracker:
        for step, value in enumerate(values):
            tracker.scalars(step, {"loss": value})
    for line, value in zip(lines(folder), values, strict=True):
        assert float(line["loss"]).hex() == value.hex()
        assert isinstance(line["loss"], float) == math.isfinite(value)  # strict JSON readers know no NaN


def test_continued_run_leaves_the_lines_of_an_unbroken_one(tmp_path: Path) -> None:
    def run(folder: Path, first: int, last: int, noise: float = 0.0) -> None:
        with Tracker(folder, enabled=True, step=first) as tracker:
            for step in range(first + 1, last + 1):
                tracker.scalars(step, {"loss": 1 / step + noise, "rate": 0.1})

    run(tmp_path / "unbroken", 0, 9)
    run(tmp_path / "broken", 0, 6, noise=0.0)
    run(tmp_path / "broken", 4, 7)  # the checkpoint was of step 4
    with (tmp_path / "broken/losses.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # killed while it wrote
    run(tmp_path / "broken", 7, 9)

    assert (tmp_path / "broken/losses.jsonl").read_bytes() == (tmp_path / "unbroken/losses.jsonl").read_bytes()
    assert sorted(path.name for path in (tmp_path / "broken").glob("losses*")) == ["losses.jsonl"]
    curve = [(event.step, event.value) for event in board(tmp_path / "broken").Scalars("loss")]
    assert curve == [(step, pytest.approx(1 / step)) for step in range(1, 10)]


def test_fresh_start_drops_what_the_run_before_wrote(tmp_path: Path) -> None:
    with Tracker(tmp_path, enabled=True) as tracker:
        tracker.scalars(5, {"loss": 1.0})
    with Tracker(tmp_path, enabled=True) as tracker:
        tracker.scalars(3, {"loss": 2.0})
    assert lines(tmp_path) == [{"step": 3, "loss": 2.0}]
    assert [(event.step, event.value) for event in board(tmp_path).Scalars("loss")] == [(3, 2.0)]


def test_a_line_is_on_disk_at_once(tmp_path: Path) -> None:
    with Tracker(tmp_path, enabled=True) as tracker:
        tracker.scalars(1, {"loss": 2.0})
        assert lines(tmp_path) == [{"step": 1, "loss": 2.0}]


def test_pictures_reach_the_board_unchanged(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    with Tracker(tmp_path, enabled=True) as tracker:
        tracker.image(3, "panel", picture)
    (event,) = board(tmp_path).Images("panel")
    imageio = pytest.importorskip("imageio.v3")
    assert event.step == 3
    np.testing.assert_array_equal(imageio.imread(event.encoded_image_string, extension=".png"), picture)


def test_package_log_is_kept_until_there_is_a_folder_and_written_until_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log, folder = logging.getLogger("gpnerf.training"), tmp_path / "run"
    hold_log()
    log.info("before")
    assert not list(tmp_path.iterdir())
    write_log(folder)
    log.info("step 1")
    write_log(tmp_path / "scene")  # a part of the same run
    log.info("step 2")
    close_log()
    close_log()
    log.info("after")
    assert [line.split(" I ")[1] for line in (folder / "log.txt").read_text().splitlines()] == [
        "before", "step 1", "step 2"
    ]  # fmt: skip
    assert not (tmp_path / "scene").exists()


def test_a_new_run_ends_the_log_of_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for name in ("one", "two"):
        hold_log()
        write_log(tmp_path / name)
        logging.getLogger("gpnerf.training").info(name)
    close_log()
    assert [(tmp_path / name / "log.txt").read_text().count("I ") for name in ("one", "two")] == [1, 1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_that_the_disk_has_no_room_for_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "log.txt").symlink_to("/dev/full")
    hold_log()
    write_log(tmp_path)
    try:
        with pytest.raises(OSError, match="No space left"):
            logging.getLogger("gpnerf.training").info("step 1")
    finally:
        with contextlib.suppress(OSError):
            close_log()


def test_timings_are_on_the_board_only(tmp_path: Path) -> None:
    with Tracker(tmp_path, enabled=True) as tracker:
        tracker.speed(3, {"data_seconds_per_step": 0.5})
    assert [(event.step, event.value) for event in board(tmp_path).Scalars("data_seconds_per_step")] == [(3, 0.5)]
    assert lines(tmp_path) == []


def test_disabled_tracker_writes_nothing(tmp_path: Path) -> None:
    with Tracker(tmp_path / "run", enabled=False) as tracker:
        tracker.scalars(1, {"loss": 1.0})
        tracker.image(1, "panel", np.zeros((2, 2, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full, Tracker(tmp_path, enabled=True) as tracker:
        tracker._scalars_file.close()
        monkeypatch.setattr(tracker, "_scalars_file", full)
        with pytest.raises(UserError, match=r"losses.jsonl: cannot be written .*; free some space"):
            tracker.scalars(1, {"loss": 1.0})
