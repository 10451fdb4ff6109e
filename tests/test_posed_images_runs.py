"""Whole runs on one's own photographs: evaluation and fine-tuning need poses, nothing else."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from posed_scenes import transforms_of, write_transforms
from tiny_runs import EVALUATION_SCENES, HEIGHT, WIDTH, flags
from tiny_scenes import INTRINSICS, write_label_table

from gpnerf.assembly import build_evaluation, build_finetuning
from gpnerf.config import parse

pytest_plugins = ["run_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_setting")]
HELD_OUT = {"0", "8"}


@pytest.fixture
def own(root: Path) -> Path:
    """A root folder with two scenes of photographs beside the rooms they are taken from; the first has labels."""
    for name in EVALUATION_SCENES:
        room, folder = root / "data/rooms" / name, root / "data/posed_images" / f"my_{name}"
        shutil.copytree(room / "color", folder / "images")
        if name == EVALUATION_SCENES[0]:
            shutil.copytree(room / "label-filt", folder / "label-filt")
        numbers = sorted(int(path.stem) for path in (room / "pose").iterdir())
        poses = np.stack([np.loadtxt(room / "pose" / f"{number}.txt") for number in numbers])
        names = [f"images/{number}.png" for number in numbers]
        write_transforms(folder, transforms_of(poses, INTRINSICS, (HEIGHT, WIDTH), names, near=0.3, far=8.0))
    write_label_table(root / "data/posed_images")
    return root


def command(root: Path, *more: object) -> list[str]:
    weights = ("--ckpt_path", root / "out/gpnerf/model_000006.pth")
    return flags(root, "--eval_dataset", "posed_images", "--expname", "own", *weights, "--val_set_list", "", *more)


def test_every_scene_is_evaluated_at_every_eighth_photograph(own: Path) -> None:
    run = build_evaluation(parse(command(own)))
    run.run()
    result = json.loads((run.folder / "metrics.json").read_text())
    assert set(result["scenes"]) == {f"my_{name}" for name in EVALUATION_SCENES}
    for name, scene in result["scenes"].items():
        assert set(scene["images"]) == HELD_OUT
        assert all(math.isfinite(scores["psnr"]) for scores in scene["images"].values())
        assert (scene["mean"].get("miou") is not None) == (name == f"my_{EVALUATION_SCENES[0]}")
        assert (run.folder / name / "rgb_8.png").is_file()
    assert set(result["protocol"]["resolved_depth_ranges"]) == set(result["scenes"])


def test_fine_tuning_takes_photographs_without_labels(own: Path) -> None:
    split = own / "mine.txt"
    split.write_text(f"posed_images/my_{EVALUATION_SCENES[1]}")
    colour_only = ("--semantic_loss_scale", 0, "--distill_loss_scale", 0, "--depth_loss_scale", 0)
    result = build_finetuning(parse(command(own, "--val_set_list", split, *colour_only))).run()
    assert set(result["scenes"]) == {f"my_{EVALUATION_SCENES[1]}"}
    assert math.isfinite(result["overall"]["psnr"])
