"""Results of scenes that were evaluated one by one, each with weights of its own, as one table."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gpnerf.errors import UserError
from gpnerf.evaluation.results import SCENE_SCORES, assemble, environment
from gpnerf.storage import read_json

_RESULT = "the result of an evaluation"


def join_scenes(
    protocol: dict[str, Any],
    start: dict[str, Any],
    results: Mapping[str, dict[str, Any]],
    class_names: tuple[str, ...],
    device: torch.device,
) -> dict[str, Any]:
    """The content of a `metrics.json` over scenes, from the content of each scene's own.

    `start` describes the weights that every scene started from; each scene names its own. Scores that end in
    `_dataset` are there for each scene only, since no single network saw all pixels.
    """
    images = {
        scene: {int(frame): scores for frame, scores in result["scenes"][scene]["images"].items()}
        for scene, result in results.items()
    }
    whole = {
        scene: {name: value for name, value in result["scenes"][scene]["mean"].items() if name in SCENE_SCORES}
        for scene, result in results.items()
    }
    seconds = [result["seconds_per_image"] for result in results.values()]
    joined = assemble(images, {}, class_names, seconds, protocol["metrics"], whole)
    scenes = {
        scene: {**result["scenes"][scene], "checkpoint": result["checkpoint"]} for scene, result in results.items()
    }
    return {
        "protocol": protocol,
        "checkpoint": start,
        "environment": environment(device),
        **joined,
        "scenes": scenes,
    }


def read_result(folder: Path, inputs: str) -> dict[str, Any] | None:
    """The result in a folder if it was made from these very `inputs` (see `EvaluationSettings`), else None."""
    try:
        found = read_json(folder / "metrics.json", _RESULT, "delete it")
    except UserError:  # there is none, or a damaged one: it will be made
        return None
    made_from = found.get("inputs")  # which earlier versions did not note
    return found if isinstance(made_from, dict) and made_from.get("sha256") == inputs else None


def best_on_test(scene: str, last: dict[str, Any], validations: Path) -> dict[str, Any]:
    """The scene's scores at the checkpoint that scored best, by `miou`, `ap75` or, without truth for these, `psnr`.

    What the released program reports. It chooses by the very images it is scored on, so it is no fair number.
    """
    paths = sorted(validations.glob("*/metrics.json"))
    results = [read_json(path, _RESULT, "delete its folder") for path in paths]

    def made_from(result: dict[str, Any]) -> tuple[str, str | None]:
        return result["protocol"]["sha256"], result.get("inputs", {}).get("data_sha256")

    results = [result for result in results if made_from(result) == made_from(last)]

    def score(result: dict[str, Any]) -> float:
        mean = result["scenes"][scene]["mean"]
        judged = (mean[name] for name in ("miou", "ap75", "psnr") if mean.get(name) is not None)
        return next(judged, -math.inf)

    best = max([*results, last], key=score)
    return {"step": best["checkpoint"]["step"], "mean": best["scenes"][scene]["mean"]}
