"""Fine-tuning of scene after scene: what it learns from, where it goes on, and what it reports."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launched import launch
from tiny_runs import EVALUATION_FRAMES, EVALUATION_SCENES, assert_same_content, flags
from tiny_scenes import RELEASED, write_intrinsics, write_label_table, write_scannet

from gpnerf.assembly import build_finetuning
from gpnerf.checkpoint import load_checkpoint
from gpnerf.config import parse
from gpnerf.data.dataset import TrainingExamples
from gpnerf.errors import Stopped, UserError
from gpnerf.training import loop

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

FROZEN = ("--lrate_gnt", 0, "--lrate_feature", 0, "--lrate_semantic", 0)
FIRST, SECOND = EVALUATION_SCENES


def arguments(root: Path, *more: object) -> list[str]:
    start = root / "out/gpnerf/model_000006.pth"
    return flags(root, "--expname", "ft", "--ckpt_path", start, "--no_load_opt", *more)


def finetuned(root: Path, *more: object) -> dict[str, Any]:
    return build_finetuning(parse(arguments(root, *more))).run()


def checkpoint(root: Path, scene: str, step: int = 3, name: str = "ft") -> dict:
    return load_checkpoint(root / f"out/{name}/{scene}/model_{step:06d}.pth")


def written(root: Path, scene: str, name: str = "ft") -> dict[str, Any]:
    return json.loads(next((root / "out" / name / scene).glob("eval/*/metrics.json")).read_text())


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str, int, list], None]], None]:
    """Calls a function with scene, step and examples at every training step."""
    train_step = loop.train_step

    def arrange(see: Callable[[str, int, list], None]) -> None:
        def watched(state: Any, examples: list, *rest: object, **more: object) -> object:
            see(examples[0].scene, state.step, examples)
            return train_step(state, examples, *rest, **more)

        monkeypatch.setattr(loop, "train_step", watched)

    return arrange


def test_each_scene_starts_from_the_general_weights(root: Path) -> None:
    results = finetuned(root, *FROZEN)
    assert list(results["scenes"]) == list(EVALUATION_SCENES)
    for scene in EVALUATION_SCENES:
        assert list(written(root, scene)["scenes"]) == [scene]
        assert written(root, scene)["overall"] == results["scenes"][scene]["mean"] | written(root, scene)["overall"]
        assert written(root, scene)["checkpoint"]["path"] == str(root / f"out/ft/{scene}/model_000003.pth")
        # With rates of 0 the weights are still those at the start, for the second scene too.
        start = load_checkpoint(root / "out/gpnerf/model_000006.pth")
        assert_same_content(checkpoint(root, scene)["model"], start["model"])


def test_the_table_over_scenes(root: Path) -> None:
    results = finetuned(root)
    assert json.loads((root / "out/ft/metrics.json").read_text()) == json.loads(json.dumps(results))
    assert list(results) == [
        "protocol", "checkpoint", "environment", "overall", "scenes", "per_class_iou",
        "confusion_matrix", "seconds_per_image"
    ]  # fmt: skip
    summary = (root / "out/ft/summary.md").read_text()
    for scene in EVALUATION_SCENES:
        mean = written(root, scene)["overall"]
        assert f"{mean['psnr']:.4f}" in summary and f"{mean['miou']:.4f}" in summary
        assert results["scenes"][scene]["checkpoint"] == written(root, scene)["checkpoint"]
    means = [written(root, scene)["overall"] for scene in EVALUATION_SCENES]
    for name in ("psnr", "miou", "depth_rmse"):
        assert results["overall"][name] == pytest.approx(sum(mean[name] for mean in means) / 2)
    assert "miou_dataset" not in results["overall"]  # no single network saw all pixels
    assert results["checkpoint"]["path"].endswith("out/gpnerf/model_000006.pth")
    log = (root / "out/ft/log.txt").read_text()
    assert all(f"fine-tuning on {scene} from step 0" in log for scene in EVALUATION_SCENES)


# The signal comes too late for the vote of its own step; in the last case the scene is trained and not yet evaluated.
@pytest.mark.parametrize(("scene", "step"), [(FIRST, 0), (SECOND, 0), (SECOND, 1)])
def test_a_stopped_run_goes_on_where_it_was(root: Path, watch: Callable[..., None], scene: str, step: int) -> None:
    def stop(at: str, when: int, _: list) -> None:
        if (at, when) == (scene, step):
            signal.raise_signal(signal.SIGTERM)

    expected = finetuned(root, "--expname", "unbroken")
    watch(stop)
    with pytest.raises(Stopped, match=f"after step {step + 2}: it is saved"):
        finetuned(root)
    done: list[tuple[str, int]] = []
    before = {path: path.stat().st_mtime_ns for path in (root / "out/ft").rglob("eval/*/metrics.json")}
    watch(lambda at, when, _: done.append((at, when)))
    results = finetuned(root)
    everything = [(at, when) for at in EVALUATION_SCENES for when in range(3)]
    assert done == everything[everything.index((scene, step)) + 2 :]
    assert len(before) == (scene == SECOND)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert results["overall"] == expected["overall"]
    for name in EVALUATION_SCENES:
        one, other = checkpoint(root, name), checkpoint(root, name, name="unbroken")
        assert_same_content(one, other)


def test_a_finished_run_is_not_repeated_unless_its_rules_change(root: Path, watch: Callable[..., None]) -> None:
    finetuned(root)
    watch(lambda *_: pytest.fail("trained again"))
    before = {path: path.stat().st_mtime_ns for path in (root / "out/ft").rglob("room_*/eval/*/*")}
    finetuned(root)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    finetuned(root, "--render_stride", 1)  # another protocol, hence another result; the weights are the same
    assert len(list((root / "out/ft" / FIRST / "eval").iterdir())) == 2


def test_other_starting_weights_under_the_same_name_are_refused(root: Path) -> None:
    finetuned(root)
    with pytest.raises(UserError, match=r"this run was started from other weights \(--ckpt_path\).*--expname"):
        finetuned(root, "--ckpt_path", root / "out/gpnerf/model_000003.pth")


def test_evaluation_frames_are_never_learned_from_under_clean(root: Path, watch: Callable[..., None]) -> None:
    seen: dict[str, set[int]] = {}

    def note(scene: str, _: int, examples: list) -> None:
        for example in examples:
            seen.setdefault(scene, set()).update((example.frame, *example.source_frames))

    watch(note)
    results = finetuned(root, "--total_step", 12, "--save_interval", 4, "--i_print", 12)
    assert set(seen) == set(EVALUATION_SCENES)
    for frames in seen.values():
        assert len(frames) > 8
        assert not frames & EVALUATION_FRAMES
    assert "best_on_test" not in results
    assert all(results["scenes"][scene]["checkpoint"]["step"] == 12 for scene in EVALUATION_SCENES)
    assert "Best checkpoint" not in (root / "out/ft/summary.md").read_text()


def released(root: Path, *more: object) -> list[str]:
    """Fine-tuning under the released rules, of scenes in ScanNet's layout with frames 0 to 44."""
    folder = root / "data/scannet"
    if not folder.exists():
        for name in ("scene0001_00", "scene0002_00"):
            write_intrinsics(write_scannet(folder / name, frames=45, height=32, width=40), RELEASED)
        write_label_table(folder)
        (root / "scenes.txt").write_text("scene0001_00\nscene0002_00\n")
    data = ("--train_dataset", "train_scannet", "--eval_dataset", "val_scannet", "--val_set_list", root / "scenes.txt")
    return arguments(root, *data, "--protocol", "release", *more)


def test_released_targets_are_every_third_frame_in_lexicographic_order_even_scored_ones(root: Path) -> None:
    run = build_finetuning(parse(released(root)))
    scene, protocol = run.scenes[0], run.source.protocol
    names = sorted(str(number) for number in range(45))
    examples = TrainingExamples([scene], protocol, seed=0, finetune=True)
    targets = {examples[(0, index)].frame for index in range(len(examples))}
    assert targets == {int(name) for name in names[:700:3]}
    scored = {int(scene.numbers[index]) for index in protocol.evaluation_indices(scene)}
    assert scored == {int(name) for name in names[2:700:20]}
    sources = [set(examples[(0, index)].source_frames) for index in range(len(examples))]
    assert set.union(*sources) & scored
    assert examples.depth_range == (0.1, 6.0)


def test_best_on_test_is_reported_under_release_only_and_is_the_best(root: Path) -> None:
    results = build_finetuning(parse(released(root, "--total_step", 3, "--save_interval", 1))).run()
    for scene, best in results["best_on_test"].items():
        folder = root / "out/ft" / scene
        found = [json.loads(path.read_text()) for path in folder.glob("validation/*/metrics.json")]
        found.append(written(root, scene))
        assert sorted(result["checkpoint"]["step"] for result in found) == [1, 2, 3]
        assert best["mean"]["miou"] == max(result["overall"]["miou"] for result in found)
        assert results["scenes"][scene]["checkpoint"]["step"] == 3  # what is reported beside it is still the last
    assert "Best checkpoint on the test images" in (root / "out/ft/summary.md").read_text()
    scene, best = next(iter(results["best_on_test"].items()))
    path = root / f"out/ft/{scene}/validation/step_000001/metrics.json"
    for changed, expected in (
        ({}, 9.0),
        ({"inputs": {"data_sha256": "of files that are others now"}}, best["mean"]["miou"]),
    ):
        content = json.loads(path.read_text()) | changed
        content["scenes"][scene]["mean"]["miou"] = 9.0
        path.write_text(json.dumps(content))
        again = build_finetuning(parse(released(root, "--total_step", 3, "--save_interval", 1))).run()
        assert again["best_on_test"][scene]["mean"]["miou"] == expected


def test_finetuning_needs_a_start(root: Path) -> None:
    with pytest.raises(UserError, match="--ckpt_path"):
        build_finetuning(parse(flags(root)))


@pytest.mark.slow
def test_two_processes_finetune(root: Path) -> None:
    code, said = launch(2, "ft_gpnerf.py", arguments(root), root / "log")
    assert code == 0, said[-3000:]
    assert said.count("| all scenes |") == 1  # one process prints the table
    assert list(json.loads((root / "out/ft/metrics.json").read_text())["scenes"]) == list(EVALUATION_SCENES)
    assert checkpoint(root, SECOND)["consumed"] == [3, 3]
