"""Results that are kept: taken again only if all that they depend on is the same, and made up for after any stop."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import EVALUATION_SCENES, TRAINING_SCENE, flags, losses, training

import gpnerf.evaluation.results
import gpnerf.evaluation.run
import gpnerf.tracking
from gpnerf.assembly import build_evaluation, build_finetuning
from gpnerf.assembly.evaluation import finished_evaluation
from gpnerf.assembly.validation import validation_folder
from gpnerf.config import parse
from gpnerf.errors import Stopped
from gpnerf.metrics.perceptual import LpipsScorer
from gpnerf.storage import file_digest
from gpnerf.tracking import Tracker

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

RESULTS = ("summary.md", "report.html", "metrics.json")
# Where a validation is stopped, and after how many passes; in the last place TensorBoard has the scores, the log not.
PLACES = [
    (gpnerf.evaluation.run, "evaluate_view", 2),
    *((gpnerf.evaluation.results, "write_whole", written) for written in range(len(RESULTS))),
    (Tracker, "image", 1),
    (gpnerf.tracking.math, "isfinite", 0),
]


def stop_at(patch: pytest.MonkeyPatch, owner: object, name: str, passes: int) -> None:
    """Stop the program where it comes to a function after so many passes."""
    original, count = getattr(owner, name), iter(range(passes))

    def stops(*args: Any, **named: Any) -> Any:
        if next(count, None) is None:
            raise Stopped("as a signal does", signal.SIGTERM)
        return original(*args, **named)

    patch.setattr(owner, name, stops)


def scores(folder: Path) -> dict[str, float]:
    """The validation's numbers as TensorBoard has them, of the last step."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"] if tag.startswith("validation/")}


@pytest.mark.parametrize(("owner", "name", "passes"), PLACES)
def test_a_validation_that_was_stopped_anywhere_is_made_up_for(
    root: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, passes: int
) -> None:
    folder = root / "out/gpnerf"
    expected = losses(root, "gpnerf")
    shutil.rmtree(folder / "validation/step_000006")
    (folder / "losses.jsonl").write_text("".join(f"{line}\n" for line in expected[:-1]))
    run = training(root, "--total_step", 6)
    with monkeypatch.context() as patch:
        stop_at(patch, owner, name, passes)
        with pytest.raises(Stopped):
            run.run()
    whole = validation_folder(folder, 6)
    assert not (whole / "metrics.json").exists() or all((whole / name).is_file() for name in RESULTS)
    training(root, "--total_step", 6).run()
    assert all((whole / name).is_file() for name in RESULTS)
    assert losses(root, "gpnerf") == expected
    assert scores(folder) == pytest.approx({k: v for k, v in json.loads(expected[-1]).items() if k != "step"})


def test_curves_are_on_the_disk_with_each_checkpoint(root: Path) -> None:
    run = training(root, "--total_step", 9)
    with Tracker(root / "curves", enabled=True) as tracker:
        tracker.speed(6, {"seconds_per_step": 0.5})
        run._save(tracker)
        events = EventAccumulator(str(root / "curves")).Reload()
        assert [event.value for event in events.Scalars("seconds_per_step")] == [0.5]


def test_an_earlier_runs_validation_is_not_taken_for_this_ones(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = losses(root, "gpnerf")
    with monkeypatch.context() as patch:
        stop_at(patch, gpnerf.evaluation.run, "evaluate_view", 0)
        with pytest.raises(Stopped):
            training(root, "--seed", 1, "--no_reload").run()
    shutil.copytree(root / "out/gpnerf/previous_1/validation", root / "out/gpnerf/validation", dirs_exist_ok=True)
    training(root, "--seed", 1).run()
    found = json.loads((validation_folder(root / "out/gpnerf", 3) / "metrics.json").read_text())
    assert found["checkpoint"]["sha256"] == file_digest(root / "out/gpnerf/model_000003.pth")
    assert json.loads(losses(root, "gpnerf")[-1])["validation/psnr"] == found["overall"]["psnr"]
    aside = root / "out/gpnerf/previous_1"
    assert (aside / "losses.jsonl").read_text().splitlines() == earlier and (aside / "config.txt").is_file()
    assert len(list(aside.glob("events.out.tfevents.*"))) == 1 and len(list(aside.glob("validation/*"))) == 2


def shorten_focal(scene: Path) -> None:
    path = scene / "intrinsic/intrinsic_color.txt"
    np.savetxt(path, np.loadtxt(path) * [[0.9, 1, 1, 1], [1, 0.9, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]])


CHANGES: dict[str, Callable[[Path], object]] = {
    "intrinsics": shorten_focal,
    "a picture": lambda scene: (scene / "color/4.png").touch(),
    "a label map": lambda scene: (scene / "label-filt/4.png").touch(),
    "a depth map": lambda scene: (scene / "depth/12.png").unlink(),
    "the table of classes": lambda scene: exchange_classes(scene.parent / "scannetv2-labels.combined.tsv"),
}


def exchange_classes(table: Path) -> None:
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows[1:]]))


def test_a_training_that_goes_on_with_other_cameras_says_so(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    training(root, "--total_step", 9)
    assert not any("cameras have changed" in record.getMessage() for record in caplog.records)
    shorten_focal(root / "data/rooms" / TRAINING_SCENE)
    assert training(root, "--total_step", 9).state.step == 6
    assert [record.getMessage() for record in caplog.records if "cameras have changed" in record.getMessage()] == [
        f"{root}/out/gpnerf/model_000006.pth: the scenes' cameras have changed since this run was started; it goes on "
        "with them"
    ]


@pytest.fixture(scope="module")
def evaluated(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with an evaluated run; not to be changed."""
    root = shutil.copytree(finished, tmp_path_factory.mktemp("evaluated") / "root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpnerf.evaluation.run.lpips_scorer", lambda device: LpipsScorer(None))
        build_evaluation(parse(flags(root))).run()
    return root


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_result_counts_until_something_that_it_depends_on_changes(
    evaluated: Path, tmp_path: Path, change: str
) -> None:
    root = shutil.copytree(evaluated, tmp_path / "root")
    result = finished_evaluation(parse(flags(root)), 6)
    assert result is not None and result["overall"]["psnr"] > 0
    CHANGES[change](root / "data/rooms" / EVALUATION_SCENES[0])
    assert finished_evaluation(parse(flags(root)), 6) is None


def test_a_result_counts_for_its_checkpoint_and_flags_alone(evaluated: Path, tmp_path: Path) -> None:
    root = shutil.copytree(evaluated, tmp_path / "root")
    for more in (("--render_stride", 1), ("--amp", "bf16"), ("--N_samples", 5), ("--expname", "absent")):
        assert finished_evaluation(parse(flags(root, *more)), 6) is None, more
    assert finished_evaluation(parse(flags(root, "--chunk_size", 7, "--dropout", 0.3)), 6) is not None
    assert finished_evaluation(parse(flags(root)), 3) is None
    shutil.copy(root / "out/gpnerf/model_000003.pth", root / "out/gpnerf/model_000006.pth")
    assert finished_evaluation(parse(flags(root)), 6) is None
    shutil.copy(evaluated / "out/gpnerf/model_000006.pth", root / "out/gpnerf/model_000006.pth")
    (path,) = root.glob("out/gpnerf/eval/*/metrics.json")
    assert finished_evaluation(parse(flags(root)), 6) is not None
    path.write_text(path.read_text()[:-5])
    assert finished_evaluation(parse(flags(root)), 6) is None


def test_a_finished_scene_is_evaluated_again_when_its_files_have_changed(root: Path) -> None:
    more = ("--expname", "ft", "--ckpt_path", root / "out/gpnerf/model_000006.pth")
    first = build_finetuning(parse(flags(root, *more))).run()
    shorten_focal(root / "data/rooms" / EVALUATION_SCENES[0])
    second = build_finetuning(parse(flags(root, *more))).run()
    same = [first["scenes"][name]["mean"] == second["scenes"][name]["mean"] for name in EVALUATION_SCENES]
    assert same == [False, True]
