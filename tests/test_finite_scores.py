"""Renderings that hold NaN or infinity: their scores are null everywhere, and one warning says which and why."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import CLASSES, example, model
from tiny_runs import EVALUATION_SCENES, flags

import gpnerf.evaluation.view
from gpnerf.assembly import build_evaluation
from gpnerf.config import parse
from gpnerf.encodings import Encodings
from gpnerf.evaluation.recognition import Task
from gpnerf.evaluation.results import write_results
from gpnerf.evaluation.scenes import best_on_test
from gpnerf.evaluation.view import ViewResult, ViewSettings, evaluate_view
from gpnerf.metrics.perceptual import LpipsScorer
from gpnerf.rendering import Chunking, render_view
from gpnerf.storage import strict_json
from gpnerf.structures import ImageOutput

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

OF = {"rgb": {"psnr", "ssim"}, "depth": {"depth_abs_rel", "depth_rmse", "depth_delta1"}}
OF["logits"] = {"miou", "total_accuracy", "class_accuracy", "miou_boundary", "miou_query", "miou_most_frequent"}


def strict(text: str) -> Any:
    """What a reader makes of JSON that does not know NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def spoilt(monkeypatch: pytest.MonkeyPatch, part: str, value: float, when: Callable[[], bool] = lambda: True) -> None:
    """From now on one number of a rendered map is `value`."""

    def render(*args: Any) -> ImageOutput:
        output = render_view(*args)
        if not when():
            return output
        changed = getattr(output, part).clone()
        changed[(-1,) * changed.ndim] = value
        return replace(output, **{part: changed})

    monkeypatch.setattr(gpnerf.evaluation.view, "render_view", render)


def evaluated() -> ViewResult:
    task = Task(tuple(f"class {k}" for k in range(CLASSES)), (0,), 1, "none")
    settings = ViewSettings(stride=1, chunking=Chunking(512), amp="none", task=task)
    return evaluate_view(Encodings(model(), 1.0), example(3), settings, LpipsScorer(None), torch.device("cpu"))


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
@pytest.mark.parametrize("part", list(OF))
def test_all_scores_of_a_map_that_is_not_finite_are_none(
    part: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = evaluated()
    assert not healthy.faults
    spoilt(monkeypatch, part, value)
    result = evaluated()
    null = {name for name, score in result.scores.items() if score is None}
    assert null - {"lpips", "lpips_unscaled"} == OF[part]
    assert {name: result.scores[name] for name in set(result.scores) - null} == {
        name: healthy.scores[name] for name in set(result.scores) - null
    }
    (fault,) = result.faults
    assert set(fault.scores) == OF[part] and fault.reason.startswith("1 of ")
    assert (result.recognised.segmentation is None) == (part == "logits")


def test_a_run_says_once_which_scores_are_null_and_why(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    turns = iter([True, False, False, False])
    spoilt(monkeypatch, "depth", torch.nan, lambda: next(turns))
    run = build_evaluation(parse(flags(root)))
    with caplog.at_level(logging.WARNING):
        run.run()
    (said,) = [record.getMessage() for record in caplog.records if "not finite" in record.getMessage()]
    first = f"1 views (the first: {EVALUATION_SCENES[0]} frame 4, where 1 of 320 numbers of the rendered depths are NaN"
    assert first in said and "depth_abs_rel, depth_rmse, depth_delta1" in said and "psnr" not in said
    results = strict((run.folder / "metrics.json").read_text())
    lines = [strict(line) for line in (run.folder / "views.jsonl").read_text().splitlines()]
    assert [line["depth_rmse"] is None for line in lines] == [True, False, False, False]
    scene = results["scenes"][EVALUATION_SCENES[0]]
    assert scene["mean"]["depth_rmse"] == lines[1]["depth_rmse"] and scene["images"]["4"]["depth_rmse"] is None
    assert all(line["psnr"] is not None for line in lines)


def test_a_run_with_nothing_finite_ends_with_its_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = build_evaluation(parse(flags(root)))
    for parameter in run.model.parameters():
        torch.nn.init.constant_(parameter, torch.nan)
    assert run.run()["overall"]["psnr_nearest_view"] is not None
    results = strict((run.folder / "metrics.json").read_text())
    assert results["overall"]["psnr"] is results["overall"]["miou"] is results["overall"]["miou_query"] is None
    assert results["overall"]["depth_rmse"] is None and results["per_class_iou"] == {}
    assert "psnr_nearest_view" in (run.folder / "summary.md").read_text()
    assert "psnr_nearest_view" in (run.folder / "report.html").read_text()


def test_files_of_results_cope_with_null(tmp_path: Path) -> None:
    means = {"a": {"miou": None, "psnr": None}, "b": {"miou": None, "psnr": 20.0}}
    results = {
        "protocol": {"name": "clean", "sha256": "0" * 64},
        "checkpoint": {"path": "p", "step": 1},
        "environment": {"device": "cpu", "torch": "2"},
        "overall": {"miou": float("nan"), "psnr": 20.0},
        "scenes": {scene: {"mean": mean, "images": {"4": mean}} for scene, mean in means.items()},
        "per_class_iou": {"wall": None},
        "best_on_test": {scene: {"step": 1, "mean": mean} for scene, mean in means.items()},
    }
    write_results(tmp_path, results)
    assert strict((tmp_path / "metrics.json").read_text())["overall"] == {"miou": None, "psnr": 20.0}
    assert (tmp_path / "summary.md").read_text().count("| 20.0000 |") == 3
    assert best_on_test("a", {**results, "checkpoint": {"step": 7}}, tmp_path)["step"] == 7


def test_numbers_that_json_does_not_have_become_null() -> None:
    told = strict(strict_json({"a": [np.float64("nan"), (1, -np.inf)], "b": "NaN"}))
    assert told == {"a": [None, [1, None]], "b": "NaN"}
