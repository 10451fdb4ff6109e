"""Panoptic segmentation through fine-tuning and evaluation: two heads on one rendering."""

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_model import example, rays_of
from tiny_model import model as tiny_model
from tiny_runs import EVALUATION_FRAMES, EVALUATION_SCENES, flags, training

import gpnerf
from gpnerf.assembly import build_evaluation, build_finetuning
from gpnerf.checkpoint import load_checkpoint
from gpnerf.config import parse
from gpnerf.errors import UserError
from gpnerf.evaluation import PANOPTIC_SCORES

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

FIRST = EVALUATION_SCENES[0]


def finetuned(root: Path, task: str, *more: object) -> dict[str, Any]:
    start = root / "out/gpnerf/model_000006.pth"
    return build_finetuning(parse(flags(root, "--task", task, "--expname", task, "--ckpt_path", start, *more))).run()


def weights(root: Path, task: str) -> dict[str, Any]:
    return load_checkpoint(root / f"out/{task}/{FIRST}/model_000003.pth")


def test_finetuning_and_evaluation_of_both(root: Path) -> None:
    results = finetuned(root, "panoptic")
    folder = next((root / "out/panoptic" / FIRST / "eval").iterdir())
    line = json.loads((folder / "views.jsonl").read_text().splitlines()[0])
    of_views = {name for name in PANOPTIC_SCORES if not name.endswith("_scene")}
    assert of_views | {"miou", "ap50", "miou_query"} <= set(line)
    mean = results["scenes"][FIRST]["mean"]
    assert set(PANOPTIC_SCORES) <= set(mean) and set(PANOPTIC_SCORES) <= set(results["overall"])
    scenes = [results["scenes"][scene]["mean"]["pq_scene"] for scene in EVALUATION_SCENES]
    assert results["overall"]["pq_scene"] == pytest.approx(np.mean(scenes))
    for frame in EVALUATION_FRAMES:
        for part in ("semantic", "instance", "panoptic", "panel"):
            assert (folder / FIRST / f"{part}_{frame}.png").is_file()
        red, green, blue = np.moveaxis(iio.imread(folder / FIRST / f"panoptic_{frame}.png"), -1, 0)
        stuff = np.isin(red, (0, 1))
        assert not blue.any() and ((green == 0) == stuff).all()
    again = build_evaluation(parse(flags(root, "--task", "panoptic", "--expname", "panoptic"))).run()
    for name in ("pq", "pq_scene", "miou", "ap50"):
        assert again["overall"][name] == results["overall"][name]
    assert gpnerf.load(root / f"out/panoptic/{FIRST}/model_000003.pth").class_names[0] == "wall"


def test_each_head_starts_from_that_of_classes_and_instances_alone_have_one(root: Path) -> None:
    start = load_checkpoint(root / "out/gpnerf/model_000006.pth")["model"]
    frozen = ("--lrate_gnt", 0, "--lrate_feature", 0, "--lrate_semantic", 0)
    for task in ("panoptic", "instance"):
        finetuned(root, task, *frozen)
        learnt = weights(root, task)["model"]
        changed = {name for name in learnt if not torch.equal(learnt[name], start[name.removeprefix("instance_")])}
        assert changed == {"instance_head.predictor.weight", "instance_head.predictor.bias"}
        assert ("head.predictor.weight" in learnt) == (task == "panoptic")


def test_weights_of_one_task_are_not_taken_for_the_other(root: Path) -> None:
    finetuned(root, "instance")
    with pytest.raises(UserError, match="trained with outputs = 0, the flags say 21"):
        finetuned(root, "panoptic", "--ckpt_path", root / f"out/instance/{FIRST}/model_000003.pth")
    with pytest.raises(UserError, match="--task panoptic: instances are learnt scene by scene"):
        training(root, "--task", "panoptic", "--expname", "general")


def test_both_heads_decode_one_rendering() -> None:
    both, given = tiny_model(instances=4), example()
    output = both(given, rays_of(given))
    assert output.logits.shape[0] == 4 and output.instance_logits.shape[0] == 5
    features = both.encode_semantics(given.target.image)
    for task, changes in enumerate(({"instances": 0}, {"outputs": 0, "instances": 4})):
        one = tiny_model(**changes)
        one.load_state_dict(both.state_dict(), strict=False)
        assert torch.equal(one.segment(features, 32, 40)[task], both.segment(features, 32, 40)[task])
        assert one.segment(features, 32, 40)[1 - task] is None
