"""Instances through fine-tuning and evaluation: what is kept, written, scored and refused."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from launched import launch
from tiny_model import example, rays_of
from tiny_model import model as tiny_model
from tiny_runs import EVALUATION_FRAMES, EVALUATION_SCENES, flags, training

import gpnerf
from gpnerf.assembly import build_evaluation, build_finetuning
from gpnerf.assembly.data import CONFIGS, data_source
from gpnerf.assembly.training import build_objective
from gpnerf.checkpoint import export_weights, load_checkpoint
from gpnerf.checkpoint.released import to_released
from gpnerf.config import parse
from gpnerf.data.protocol_file import load_protocol
from gpnerf.errors import UserError
from gpnerf.evaluation import COCO_SCORES, INSTANCE_SCORES
from gpnerf.losses import instance_loss

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

IDS = (1, 2, 3, 4)  # of the tiny scenes, whose files hold 0 (none) too
FIRST, SECOND = EVALUATION_SCENES
FROZEN = ("--lrate_gnt", 0, "--lrate_feature", 0, "--lrate_semantic", 0)


def arguments(root: Path, *more: object) -> list[str]:
    start = root / "out/gpnerf/model_000006.pth"
    return flags(root, "--task", "instance", "--expname", "ft", "--ckpt_path", start, *more)


def finetuned(root: Path, *more: object) -> dict[str, Any]:
    return build_finetuning(parse(arguments(root, *more))).run()


def evaluated(root: Path, *more: object) -> dict[str, Any]:
    return build_evaluation(parse(flags(root, "--task", "instance", "--expname", "ft", *more))).run()


def checkpoint(root: Path, scene: str) -> Path:
    return root / f"out/ft/{scene}/model_000003.pth"


@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_finetuning_and_evaluation_of_instances(root: Path, assignment: str) -> None:
    results = finetuned(root, "--instance_assignment", assignment)
    for scene in EVALUATION_SCENES:
        folder = next((root / "out/ft" / scene / "eval").iterdir())
        lines = [json.loads(line) for line in (folder / "views.jsonl").read_text().splitlines()]
        assert [line["frame"] for line in lines] == sorted(EVALUATION_FRAMES)
        assert set(INSTANCE_SCORES) <= set(lines[0])
        mean = results["scenes"][scene]["mean"]
        assert mean["ap50"] == pytest.approx(np.mean([line["ap50"] for line in lines]))
        assert 0 <= mean["ap_coco"] <= mean["ap50_coco"] <= 1 and "ap_coco" not in lines[0]
        assert mean["ap75_query"] is not None and mean["psnr"] is not None and "miou" not in mean
        for frame in EVALUATION_FRAMES:
            ids = iio.imread(folder / scene / f"instance_{frame}.png")
            assert ids.dtype == np.uint8 and set(ids.ravel().tolist()) <= {0, *IDS}
            assert (folder / scene / f"panel_{frame}.png").is_file()
            assert not (folder / scene / f"semantic_{frame}.png").exists()
        content = load_checkpoint(checkpoint(root, scene))
        assert (content["task"], content["scene"]) == ("instance", scene)
        assert content["instances"] == list(IDS)
        # Only with a fixed assignment is it known from the start what a channel stands for.
        word = "instance 1" if assignment == "fixed" else "channel 0"
        assert content["class_names"][0] == word and len(content["class_names"]) == len(IDS)
    again = evaluated(root, "--instance_assignment", assignment)
    for name in ("ap50", "ap75", "ap50_large", "ap75_query", "psnr", "ap_coco", "ap50_coco"):
        assert again["overall"][name] == results["overall"][name]
    of_scenes = [results["scenes"][scene]["mean"]["ap_coco"] for scene in EVALUATION_SCENES]
    assert results["overall"]["ap_coco"] == pytest.approx(np.mean(of_scenes))
    summary = (root / "out/ft/summary.md").read_text()
    assert "| ap50 " in summary and "| ap_coco " in summary
    assert not set(COCO_SCORES) & set(results["protocol"]["metrics"])  # whose SHA-256 stays what it was


def test_everything_but_the_predictor_is_kept_and_the_log_says_so(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    finetuned(root, *FROZEN)
    start = load_checkpoint(root / "out/gpnerf/model_000006.pth")["model"]
    learnt = load_checkpoint(checkpoint(root, FIRST))["model"]
    assert not [name for name in learnt if name.startswith("head.")]
    source = {name: name.removeprefix("instance_") for name in learnt}
    other = {name for name in learnt if not torch.equal(learnt[name], start[source[name]])}
    assert other == {"instance_head.predictor.weight", "instance_head.predictor.bias"}
    assert len(learnt["instance_head.predictor.bias"]) == len(IDS) + 1
    said = [record.getMessage() for record in caplog.records]
    assert any("the instance head's last layer starts anew, for 4 instances" in line for line in said)


def test_released_weights_start_instances_too(root: Path) -> None:
    start = load_checkpoint(root / "out/gpnerf/model_000006.pth")["model"]
    torch.save(dict(to_released(start)), root / "released.pth")
    finetuned(root, *FROZEN, "--ckpt_path", root / "released.pth")
    learnt = load_checkpoint(checkpoint(root, FIRST))["model"]
    for name in ("fpn.output.0.weight", "head.scales.0.0.0.weight"):
        assert torch.equal(learnt[name.replace("head", "instance_head")], start[name])


def test_weights_of_another_task_or_scene_are_refused(root: Path) -> None:
    finetuned(root)
    (root / "one.txt").write_text(SECOND)
    one = ("--val_set_list", root / "one.txt")
    general = root / "out/gpnerf/model_000006.pth"
    with pytest.raises(UserError, match="trained with --task semantic, found --task instance"):
        evaluated(root, *one, "--ckpt_path", general)
    with pytest.raises(UserError, match=rf"trained on 4 instances of {FIRST}, found {SECOND} with 4"):
        evaluated(root, *one, "--ckpt_path", checkpoint(root, FIRST))
    with pytest.raises(UserError, match=r"expected one scene, .* found 2"):
        evaluated(root, "--ckpt_path", checkpoint(root, FIRST))
    with pytest.raises(UserError, match="trained with --task instance, found --task semantic"):
        build_evaluation(parse(flags(root, "--ckpt_path", checkpoint(root, FIRST))))
    assert list(evaluated(root, *one, "--ckpt_path", checkpoint(root, SECOND))["scenes"]) == [SECOND]
    path = root / "data/rooms" / SECOND / "instance-filt" / "0.png"
    more = iio.imread(path)
    more[:3] = 9
    iio.imwrite(path, more)
    with pytest.raises(UserError, match=rf"trained on 4 instances of {SECOND}, found {SECOND} with 5"):
        evaluated(root, *one)


def test_exported_weights_of_instances_are_evaluated_and_load_from_python(root: Path) -> None:
    results = finetuned(root, "--instance_assignment", "fixed")
    export_weights(checkpoint(root, SECOND), root / "small.pth", released=False)
    (root / "one.txt").write_text(SECOND)
    again = evaluated(root, "--val_set_list", root / "one.txt", "--ckpt_path", root / "small.pth")
    assert again["overall"]["ap50"] == results["scenes"][SECOND]["mean"]["ap50"]
    assert gpnerf.load(root / "small.pth").class_names == tuple(f"instance {raw}" for raw in IDS)


def test_an_unevaluated_scene_and_generalised_training_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match=rf"out/ft/{FIRST}: no checkpoint to evaluate"):
        evaluated(root)
    with pytest.raises(UserError, match=r"learnt scene by scene; run ft_gpnerf.py"):
        training(root, "--task", "instance", "--expname", "general")


@pytest.mark.slow
def test_two_processes_learn_instances(root: Path) -> None:
    (root / "data/rooms" / FIRST / "instance-filt/7.png").unlink()  # one of them may meet a frame without truth
    code, said = launch(2, "ft_gpnerf.py", arguments(root, "--total_step", 6), root / "log")
    assert code == 0, said[-3000:]
    assert said.count("| all scenes |") == 1 and "ap50_query" in said


def test_a_run_of_one_task_is_not_continued_as_another(root: Path) -> None:
    finetuned(root)
    semantic = flags(root, "--expname", "ft", "--ckpt_path", root / "out/gpnerf/model_000006.pth", "--no_load_opt")
    with pytest.raises(UserError, match="this run was started with task = instance, found semantic now"):
        build_finetuning(parse(semantic)).run()


def test_a_frame_without_instances_or_their_file_is_trained_on_and_evaluated(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for scene in EVALUATION_SCENES:
        folder = root / "data/rooms" / scene / "instance-filt"
        for number in range(6):  # 4 among them, which is evaluated
            iio.imwrite(folder / f"{number}.png", np.zeros_like(iio.imread(folder / f"{number}.png")))
        (folder / "7.png").unlink()
        (folder / "12.png").unlink()
    with caplog.at_level(logging.WARNING):
        results = finetuned(root, "--total_step", 6)
    assert not [record for record in caplog.records if "not finite" in record.getMessage()]
    images = results["scenes"][FIRST]["images"]
    assert images["4"]["ap50"] is None and images["4"]["psnr"] is not None
    assert "ap50" not in images["12"]
    assert results["scenes"][FIRST]["mean"]["ap50"] is None


def test_only_the_task_of_instances_asks_for_their_scores() -> None:
    base = ["--train_dataset", "train_rooms", "--eval_dataset", "val_rooms"]
    semantic = data_source(parse(base), "val_rooms").protocol
    instances = data_source(parse([*base, "--task", "instance"]), "val_rooms").protocol
    assert semantic == load_protocol("clean", "rooms", CONFIGS)
    assert set(instances.metrics) - set(semantic.metrics) == set(INSTANCE_SCORES)
    assert replace(instances, metrics=semantic.metrics) == semantic
    assert data_source(
        parse(["--task", "instance", "--eval_dataset", "instance_replica"]), "instance_replica"
    ).protocol == (load_protocol("clean", "replica_dm", CONFIGS))


def test_the_instance_loss_counts_twice_with_its_weight() -> None:
    given, model = example(), tiny_model(outputs=0, instances=3)
    instances = torch.randint(-1, 3, (32, 40), generator=torch.Generator().manual_seed(0))
    given = replace(given, target=replace(given.target, instances=instances))
    rays = rays_of(given)
    objective = build_objective(parse(["--task", "instance", "--instance_loss_scale", "0.25"]), 3, finetuning=True)
    output = model(given, rays, objective.wants_semantics, guidance=objective.wants_guidance)
    terms = objective.terms(output, given, rays)
    assert "semantic" not in terms and output.logits is None
    assert float(terms["instance"].detach()) == pytest.approx(
        2 * 0.25 * float(instance_loss(output.instance_logits, instances).detach())
    )
    bare = objective.terms(output, replace(given, target=replace(given.target, instances=None)), rays)["instance"]
    bare.backward()
    gradients = [parameter.grad for parameter in model.instance_head.parameters()]
    assert float(bare.detach()) == 0
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
