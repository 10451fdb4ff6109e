"""What is refused, or named, when the parts of a run are put together."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import model
from tiny_runs import flags, training
from tiny_scenes import write_scannet

from gpnerf.assembly import build_evaluation
from gpnerf.assembly.data import CONFIGS, data_source
from gpnerf.assembly.training import build_objective
from gpnerf.checkpoint import load_weights
from gpnerf.checkpoint.released import to_released
from gpnerf.config import parse
from gpnerf.errors import UserError
from gpnerf.evaluation import COCO_SCORES, INSTANCE_SCORES, PANOPTIC_SCORES, SCORES

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")


@pytest.mark.parametrize(
    ("flag", "value", "field"),
    [
        ("trans_depth", 2, "trans_depth"),
        ("adaptor_activation", "none", "adaptor_relu"),
        ("head_width", 16, "head_width"),
    ],
)
def test_weights_of_another_network_are_refused_by_field(root: Path, flag: str, value: object, field: str) -> None:
    with pytest.raises(UserError, match=rf"model_000006.pth: trained with {field} = .*, the flags say"):
        build_evaluation(parse(flags(root, f"--{flag}", value)))


def test_other_samples_on_a_ray_are_only_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    build_evaluation(parse(flags(root, "--N_samples", 5)))
    assert any("trained with samples = 4, used with 5" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("stored", "built"), [(3, 2), (1, 2)])
@pytest.mark.parametrize("released", [False, True])
def test_a_renderer_of_another_depth_is_refused(stored: int, built: int, released: bool) -> None:
    state = model(trans_depth=stored).state_dict()
    content: dict[str, Any] = dict(to_released(state)) if released else {"model": state}
    with pytest.raises(UserError, match=r"x.pth: (lacks renderer|also has renderer|also has net_coarse)"):
        load_weights(model(trans_depth=built), content, Path("x.pth"))


def test_gnt_weights_without_semantic_layers_are_welcome() -> None:
    released = to_released(model(seed=1).state_dict())
    content = {part: released[part] for part in ("net_coarse", "feature_net")}
    content["net_coarse"] = {k: v for k, v in content["net_coarse"].items() if not k.startswith("semantic")}
    target = model(seed=2)
    load_weights(target, content, Path("gnt.pth"))
    assert torch.equal(target.state_dict()["renderer.coarse.colour.weight"], content["net_coarse"]["rgb_fc.weight"])


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ((), "rooms_clean"),
        (("--num_source_views", 8, "--render_stride", 2), "rooms_clean"),  # what the protocol says anyway
        (("--original_width", 80), "rooms_clean+width=80"),
        (("--depth_range", 0.5, 6), "rooms_clean+depth_ranges=0.5-6"),
        (("--compat", "release", "--num_source_views", 4), "rooms_clean+num_source_views=4+compat=release"),
    ],
)
def test_overridden_rules_show_in_the_protocols_name(more: tuple[object, ...], name: str) -> None:
    config = parse(["--train_dataset", "train_rooms", "--eval_dataset", "val_rooms", *map(str, more)])
    assert data_source(config, "val_rooms").protocol.name == name


@pytest.mark.parametrize(
    ("more", "finetuning", "weight"), [((), False, 0.0), ((), True, 0.25), (("--depth_loss_scale", "2"), False, 2.0)]
)
def test_depth_weighs_in_fine_tuning_unless_told(more: tuple[str, ...], finetuning: bool, weight: float) -> None:
    assert build_objective(parse(list(more)), 20, finetuning).weights.depth == weight


def test_training_scenes_without_labels_are_named_or_refused(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scannet(root / "data/rooms/room_0001", frames=13, height=32, width=40)
    for path in (root / "data/rooms/room_0001/label-filt").iterdir():
        path.unlink()
    (root / "data/rooms/room_0001/label-filt").rmdir()
    training(root, "--expname", "some", "--train_scenes", "room_0000", "room_0001")
    assert any("no label files in 1 training scenes: room_0001" in record.getMessage() for record in caplog.records)
    with pytest.raises(UserError, match=r"room_0001.*--semantic_loss_scale 0"):
        training(root, "--expname", "none", "--train_scenes", "room_0001")
    training(root, "--expname", "colour", "--train_scenes", "room_0001", "--semantic_loss_scale", 0)


def test_one_list_cannot_serve_two_data_sets(root: Path) -> None:
    with pytest.raises(UserError, match="one list of scenes cannot serve several data sets"):
        training(root, "--expname", "two", "--train_dataset", "train_rooms+train_rooms")


@pytest.mark.parametrize("content", [{"model": {}}, {"net_coarse": {}}])
def test_a_foreign_checkpoint_in_the_run_folder_is_not_continued(root: Path, content: dict) -> None:
    torch.save(content, root / "out/gpnerf/model_000099.pth")
    with pytest.raises(UserError, match=r"model_000099.pth: expected a training checkpoint of this run.*--expname"):
        training(root, "--total_step", 6)


def test_an_unknown_metric_is_refused_before_anything_is_rendered(root: Path) -> None:
    rules = json.loads((CONFIGS / "protocols/rooms_clean.json").read_text())
    (root / "mine.json").write_text(json.dumps({**rules, "metrics": ["psnr", "mIoU"]}))
    with pytest.raises(UserError, match=r"unknown metric 'mIoU'; the metrics are psnr, "):
        build_evaluation(parse(flags(root, "--protocol", root / "mine.json")))


def test_the_protocols_list_every_metric() -> None:
    of_classes = {name for name in SCORES if "miou" in name or "accuracy" in name}
    for path in (CONFIGS / "protocols").glob("*.json"):
        # The scores of instances join any protocol when instances are the task; its files may have nothing else.
        only = path.name.startswith("replica_dm")
        left_out = {*PANOPTIC_SCORES, *COCO_SCORES, *(of_classes if only else INSTANCE_SCORES)}
        assert sorted(json.loads(path.read_text())["metrics"]) == sorted(set(SCORES) - left_out)


def test_evaluation_says_when_training_labels_were_not_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "out/gpnerf/model_000006.pth"
    content = torch.load(path, weights_only=True)
    torch.save({"model": content["model"]}, root / "bare.pth")
    with caplog.at_level(logging.INFO):
        build_evaluation(parse(flags(root, "--ckpt_path", root / "bare.pth")))
    assert any("without counts of training labels" in record.getMessage() for record in caplog.records)
