"""Evaluation: the result files, and their scores computed anew from the pictures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from tiny_runs import EVALUATION_FRAMES, EVALUATION_SCENES, HEIGHT, TRAINING_SCENE, WIDTH, flags
from tiny_scenes import SCANNET_TABLE

from gpnerf.assembly import build_evaluation
from gpnerf.assembly.evaluation import EvaluationRun
from gpnerf.config import parse
from gpnerf.metrics.perceptual import LpipsScorer

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

# nyu40 ids in the order of the 20 training ids.
NYU40 = [*range(1, 13), 14, 16, 24, 28, 33, 34, 36, 39]
CLASSES, IGNORE_ID = 20, 255


def evaluation(root: Path, *more: object) -> EvaluationRun:
    return build_evaluation(parse(flags(root, *more)))


@pytest.fixture(scope="module")
def evaluated(finished: Path, tmp_path_factory: pytest.TempPathFactory, tiny_setting: None) -> Path:
    """The root folder of a run that was evaluated at every pixel."""
    root = shutil.copytree(finished, tmp_path_factory.mktemp("evaluated") / "root")
    evaluation(root, "--render_stride", 1).run()
    return root


@pytest.fixture(scope="module")
def results(evaluated: Path) -> dict[str, Any]:
    return json.loads((folder_of(evaluated) / "metrics.json").read_text())


def folder_of(root: Path) -> Path:
    return next((root / "out/gpnerf/eval").iterdir())


def timeless(results: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in results.items() if name != "seconds_per_image"}


def true_labels(root: Path, scene: str, frame: int) -> np.ndarray:
    raw = iio.imread(root / "data/rooms" / scene / "label-filt" / f"{frame}.png")
    known = {raw_id: NYU40.index(nyu40) for raw_id, nyu40 in SCANNET_TABLE.items() if nyu40 in NYU40}
    return np.array([[known.get(value, CLASSES) for value in row] for row in raw.tolist()])


def colour(root: Path, scene: str, frame: int) -> np.ndarray:
    return iio.imread(root / "data/rooms" / scene / "color" / f"{frame}.png")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a / 255.0 - b / 255.0) ** 2) + 1e-6))


def miou(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Over the classes of the truth, without the pixels that have none."""
    scored = truth != CLASSES
    truth, predicted = truth[scored], predicted[scored]
    ious = [
        ((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in set(truth.tolist())
    ]
    return float(np.mean(ious))


def views() -> list[tuple[str, int]]:
    return [(scene, frame) for scene in EVALUATION_SCENES for frame in sorted(EVALUATION_FRAMES)]


def scores_of(results: dict[str, Any], scene: str, frame: int) -> dict[str, float | None]:
    return results["scenes"][scene]["images"][str(frame)]


def test_result_file_and_pictures(evaluated: Path, results: dict[str, Any]) -> None:
    folder = folder_of(evaluated)
    assert list(results) == [
        "protocol", "checkpoint", "environment", "inputs", "overall", "scenes", "per_class_iou",
        "confusion_matrix", "seconds_per_image"
    ]  # fmt: skip
    assert results["checkpoint"]["step"] == 6
    assert results["checkpoint"]["path"].endswith("out/gpnerf/model_000006.pth")
    assert {"sha256", "resolved", "evaluation_targets"} <= set(results["protocol"])
    assert results["seconds_per_image"] > 0
    assert results["overall"]["lpips"] is None  # no network here
    assert [(scene, int(frame)) for scene, part in results["scenes"].items() for frame in part["images"]] == views()
    for scene, frame in views():
        for kind in ("rgb", "depth", "semantic", "pca", "panel"):
            assert (folder / scene / f"{kind}_{frame}.png").is_file()
    summary = (folder / "summary.md").read_text()
    assert all(word in summary for word in (*EVALUATION_SCENES, "psnr", f"{results['overall']['psnr']:.4f}"))
    lines = [json.loads(line) for line in (folder / "views.jsonl").read_text().splitlines()]
    assert [(line.pop("scene"), line.pop("frame")) for line in lines] == views()
    assert lines == [scores_of(results, *view) for view in views()]


@pytest.mark.parametrize("view", views())
def test_scores_follow_from_the_pictures(evaluated: Path, results: dict[str, Any], view: tuple[str, int]) -> None:
    scene, frame = view
    folder, scores = folder_of(evaluated) / scene, scores_of(results, scene, frame)
    assert scores["psnr"] == pytest.approx(psnr(iio.imread(folder / f"rgb_{frame}.png"), colour(evaluated, *view)))

    predicted = iio.imread(folder / f"semantic_{frame}.png")
    truth = true_labels(evaluated, scene, frame)
    assert predicted.shape == (HEIGHT, WIDTH) and set(predicted.ravel().tolist()) <= {*range(CLASSES), IGNORE_ID}
    assert scores["miou"] == pytest.approx(miou(truth, predicted))
    around = sliding_window_view(np.pad(truth, 3, constant_values=CLASSES), (7, 7))
    near = ((around != truth[..., None, None]) & (around != CLASSES)).any(axis=(2, 3))
    assert scores["miou_boundary"] == pytest.approx(miou(np.where(near, truth, CLASSES), predicted))
    assert scores["total_accuracy"] == pytest.approx(np.mean((truth == predicted)[truth != CLASSES]))

    rendered = iio.imread(folder / f"depth_{frame}.png") / 1000
    half = iio.imread(evaluated / "data/rooms" / scene / "depth" / f"{frame}.png") / 1000
    depth = half.repeat(2, axis=0).repeat(2, axis=1)
    assert scores["depth_abs_rel"] == pytest.approx(np.mean(np.abs(rendered - depth) / depth), abs=2e-3)
    assert scores["depth_rmse"] == pytest.approx(np.sqrt(np.mean((rendered - depth) ** 2)), abs=1e-3)
    close = np.maximum(rendered / depth, depth / rendered) < 1.25
    assert scores["depth_delta1"] == pytest.approx(np.mean(close), abs=3 / close.size)


@pytest.mark.parametrize("view", views())
def test_references_follow_from_the_data(evaluated: Path, results: dict[str, Any], view: tuple[str, int]) -> None:
    scene, frame = view
    (sources,) = [each["sources"] for each in results["protocol"]["resolved"][scene] if each["target"] == frame]

    def pose(number: int) -> np.ndarray:
        return np.loadtxt(evaluated / "data/rooms" / scene / "pose" / f"{number}.txt")

    def distance(number: int) -> float:
        one, other = pose(frame), pose(number)
        angle = np.arccos(np.clip(one[:3, 2] @ other[:3, 2], -1, 1))
        return float(np.linalg.norm(one[:3, 3] - other[:3, 3]) + angle)

    copied = colour(evaluated, scene, min(sources, key=distance))
    scores = scores_of(results, scene, frame)
    assert scores["psnr_nearest_view"] == pytest.approx(psnr(copied, colour(evaluated, *view)))
    assert not EVALUATION_FRAMES & set(sources)

    counts = torch.load(evaluated / "out/gpnerf/model_000006.pth", weights_only=True)["class_counts"]
    training_frames = [true_labels(evaluated, TRAINING_SCENE, number).ravel() for number in range(13)]
    assert set(np.flatnonzero(counts)) <= set(np.concatenate(training_frames).tolist())
    constant = np.full((HEIGHT, WIDTH), int(counts.argmax()))
    assert scores["miou_most_frequent"] == pytest.approx(miou(true_labels(evaluated, *view), constant))
    assert 0 <= scores["miou_query"] <= 1


def test_means_over_images_then_scenes_and_scores_over_all_pixels(evaluated: Path, results: dict[str, Any]) -> None:
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {scene: [] for scene in EVALUATION_SCENES}
    for scene, frame in views():
        predicted = iio.imread(folder_of(evaluated) / scene / f"semantic_{frame}.png")
        pairs[scene].append((true_labels(evaluated, scene, frame), predicted))
    for scene in EVALUATION_SCENES:
        mean = results["scenes"][scene]["mean"]
        for name in ("psnr", "miou", "depth_rmse", "psnr_nearest_view"):
            assert mean[name] == pytest.approx(np.mean([scores_of(results, scene, f)[name] for f in EVALUATION_FRAMES]))
        assert mean["miou_dataset"] == pytest.approx(miou(*map(np.concatenate, zip(*pairs[scene], strict=True))))
    for name in ("psnr", "miou", "depth_abs_rel"):
        expected = np.mean([results["scenes"][scene]["mean"][name] for scene in EVALUATION_SCENES])
        assert results["overall"][name] == pytest.approx(expected)
    joined = [np.concatenate(part) for part in zip(*(pair for part in pairs.values() for pair in part), strict=True)]
    assert results["overall"]["miou_dataset"] == pytest.approx(miou(*joined))
    real = [value for value in results["per_class_iou"].values() if value is not None]
    assert np.mean(real) == pytest.approx(results["overall"]["miou_dataset"])


def test_evaluated_twice_gives_the_same_file(evaluated: Path, results: dict[str, Any]) -> None:
    evaluation(evaluated, "--render_stride", 1).run()
    repeated = json.loads((folder_of(evaluated) / "metrics.json").read_text())
    assert timeless(repeated) == timeless(results)


def test_a_perceptual_network_is_made_only_where_the_protocol_lists_its_scores(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr("gpnerf.evaluation.run.lpips_scorer", lambda device: made.append(device) or LpipsScorer(None))
    run = evaluation(root, "--render_stride", 2)
    colour_only = replace(run.source.protocol, metrics=("psnr", "ssim"))
    results = replace(run, source=replace(run.source, protocol=colour_only)).run()
    assert not made and set(results["overall"]) == {"psnr", "ssim"}
    one_more = replace(colour_only, metrics=("psnr", "lpips_unscaled"))
    replace(run, scenes=run.scenes[:1], source=replace(run.source, protocol=one_more)).run()
    assert len(made) == 1
