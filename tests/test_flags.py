"""The list of flags is frozen, and files and commands written for the released program are understood."""

import json
import logging
import shlex
from pathlib import Path

import pytest

from gpnerf.config import parse
from gpnerf.config.config import options
from gpnerf.config.parser import RETIRED
from gpnerf.errors import UserError

ROOT = Path(__file__).parent.parent

FLAGS = [
    "rootdir", "expname", "protocol", "task", "compat", "device", "dist_url", "seed", "num_workers", "train_dataset",
    "dataset_weights", "eval_dataset", "train_scenes", "train_set_list", "val_set_list", "num_source_views",
    "original_width", "original_height", "depth_range", "augment", "cache_gb", "netwidth", "trans_depth",
    "coarse_feat_dim", "fine_feat_dim", "single_net", "encoder_width", "encoder_blocks", "head_width", "num_classes",
    "ignore_label",
    "semantic_model", "dropout", "position_frame", "colour_head", "adaptor_activation", "adaptor_init",
    "N_samples", "N_importance", "inv_uniform", "det",
    "chunk_size", "memory_budget", "render_stride", "renderer", "amp", "kernels", "recompute", "compile",
    "render_loss_scale", "semantic_loss_scale", "instance_loss_scale", "distill_loss_scale", "depth_guided_loss_scale",
    "depth_loss_scale", "photometric_loss_scale", "depth_guided_negative", "feature_fusion", "detach_reference", "n_p",
    "instance_assignment", "N_rand", "sample_mode", "center_ratio", "total_step", "lrate_gnt",
    "lrate_feature", "lrate_semantic", "lrate_decay_factor", "lrate_decay_steps", "accumulate_steps",
    "clip_grad_norm", "cuda_graph", "i_print", "save_interval", "ckpt_path", "no_reload", "no_load_opt",
    "no_load_scheduler", "keep_checkpoints",
]  # fmt: skip

# The released program's flags that mean something, with a value that is not the default.
LIVE = {
    "rootdir": "elsewhere", "expname": "x", "num_workers": 3, "train_dataset": "val_replica", "dataset_weights": [2.5],
    "eval_dataset": "val_replica", "sample_mode": "center", "center_ratio": 0.5, "N_rand": 500, "chunk_size": 2000,
    "coarse_feat_dim": 16, "fine_feat_dim": 16, "num_source_views": 8, "trans_depth": 8, "netwidth": 32,
    "single_net": False, "no_reload": True, "ckpt_path": "a.pth", "no_load_opt": True, "no_load_scheduler": True,
    "total_step": 9, "lrate_feature": 0.005, "lrate_semantic": 0.005, "lrate_gnt": 0.00001,
    "lrate_decay_factor": 0.6, "lrate_decay_steps": 4000, "N_samples": 48, "N_importance": 16, "inv_uniform": True,
    "det": True, "render_stride": 2, "i_print": 10, "save_interval": 20, "num_classes": 51, "ignore_label": 51,
    "val_set_list": "configs/scannetv2_test_split.txt", "render_loss_scale": 1.0, "depth_loss_scale": 0.0,
    "distill_loss_scale": 0.5, "semantic_loss_scale": 0.5, "semantic_model": "fc", "n_p": 3, "original_width": 640,
    "original_height": 480, "dist_url": "tcp://a:1", "train_scenes": ["scene0000_00", "scene0001_00"],
}  # fmt: skip

# Its flags that never had an effect, as they may be typed.
DEAD = """--world_size 8|--distributed|--eval_scenes a b|--testskip 8|--white_bkgd|--llffhold 8|--img_wh 648 432
--patch_size 4|--use_pixel_centers True|--dataset_root data/rffr|--type2sample_weights {"scannet":1}|--run_val
--train_database_types a|--aug_pixel_center_sample True|--train_ray_num 2048|--resolution_type lr|--save_feature True
--coarse_only|--anti_alias_pooling 1""".replace("\n", "|").split("|")

# The four released config files, key by key; "-" where a file does not have the key.
RELEASED_FILES = """
expname               gnt_full       ft_distill_gpu_8  gnt_replica    gnt_replica
rootdir               ./             ./                ./             ./
render_stride         1              2                 2              2
distributed           False          False             False          False
train_dataset         train_scannet  train_scannet     train_replica  val_replica
dataset_weights       [1]            [1]               [1]            [1]
eval_dataset          val_scannet    val_scannet       val_replica    val_replica
N_rand                500            450               400            400
lrate_feature         0.005          0.005             0.005          0.005
lrate_semantic        0.005          0.005             0.005          0.005
lrate_gnt             0.00001        0.00001           0.00001        0.00001
lrate_decay_factor    0.6            0.6               0.6            0.6
lrate_decay_steps     100000         100000            4000           100000
single_net            True           True              True           True
trans_depth           8              8                 8              8
chunk_size            2000           2000              2000           2000
N_importance          16             16                16             16
N_samples             48             48                48             48
inv_uniform           True           True              True           True
white_bkgd            False          False             False          False
total_step            250000         16000             16000          16000
i_print               100            100               100            100
save_interval         20000          2000              2000           2000
save_feature          True           True              True           True
semantic_model        fpn            fpn               fpn            fpn
render_loss_scale     0.25           -                 0.25           0.25
semantic_loss_scale   0.75           -                 0.75           0.75
distill_loss_scale    0.25           -                 0.5            0.5
depth_loss_scale      0              -                 0              0
no_load_opt           -              bare              -              -
no_load_scheduler     -              bare              -              -
ckpt_path             -              ./out/a/b.pth     -              -
val_set_list          -              configs/a.txt     configs/b.txt  configs/b.txt
original_width        -              -                 640            640
original_height       -              -                 480            480
num_classes           -              -                 51             51
ignore_label          -              -                 51             51
"""


def test_list_of_flags_is_frozen() -> None:
    assert [option.name for _, option in options()] == FLAGS


def test_help_lists_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert not [name for name in FLAGS if f"--{name} " not in text]
    assert all(option.metadata["help"] for _, option in options())


@pytest.mark.parametrize(("name", "value"), LIVE.items(), ids=LIVE)
def test_live_released_flag_sets_its_value_and_no_other(
    name: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    before = parse([]).to_dict()
    after = parse([f"--{name}", *map(str, value if isinstance(value, list) else [value])]).to_dict()
    assert before[name] != value
    assert after == before | {name: value}
    assert not caplog.records


def test_n_iters_is_another_name_of_total_step(tmp_path: Path) -> None:
    file = tmp_path / "preset.txt"
    file.write_text("total_step = 16000")
    assert parse(["--config", str(file), "--n_iters", "7"]).optim.total_step == 7


@pytest.mark.parametrize("typed", DEAD)
def test_dead_released_flag_warns_in_one_line(typed: str, caplog: pytest.LogCaptureFixture) -> None:
    config = parse(shlex.split(typed.replace('"', '\\"')))
    assert config == parse([])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith(typed.split()[0].removeprefix("--"))
    assert "\n" not in caplog.messages[0]


def test_every_dead_flag_is_tried() -> None:
    assert {typed.split()[0].removeprefix("--") for typed in DEAD} == set(RETIRED)


@pytest.mark.parametrize("column", range(4), ids=["scannet", "scannet_ft", "replica", "replica_ft"])
def test_released_config_file_parses(column: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [line.split() for line in RELEASED_FILES.strip().splitlines()]
    keys = {name: cells[column] for name, *cells in rows if cells[column] != "-"}
    file = tmp_path / "released.txt"
    file.write_text("\n".join(name if value == "bare" else f"{name} = {value}" for name, value in keys.items()))
    values = parse(["--config", str(file)]).to_dict()

    assert {message.split()[0] for message in caplog.messages} == {"distributed", "white_bkgd", "save_feature"}
    for name, text in keys.items():
        if name in RETIRED:
            continue
        expected = {"True": True, "False": False, "bare": True, "[1]": [1.0]}.get(text, text)
        found = values[name]
        if isinstance(expected, str) and isinstance(found, int | float):
            expected = float(expected)
        assert found == expected or Path(str(found)) == Path(str(expected)), name


@pytest.mark.parametrize("argument", ["--local-rank=1", "--local_rank=1"])
def test_launcher_argument_is_accepted_quietly(argument: str, caplog: pytest.LogCaptureFixture) -> None:
    assert parse([argument, "--seed", "3"]) == parse(["--seed", "3"])
    assert not caplog.records


@pytest.mark.parametrize(
    ("argv", "word"),
    [(["--model", "ibrnet"], "gnt"), (["--rectify_inplane_rotation"], "False"), (["--single_net", "maybe"], "maybe")],
)
def test_unavailable_value_is_refused(argv: list[str], word: str) -> None:
    with pytest.raises(UserError, match=word):
        parse(argv)


def test_only_available_value_is_accepted() -> None:
    assert parse(["--model", "gnt", "--rectify_inplane_rotation", "False"]) == parse([])


def test_every_launch_entry_parses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.chdir(ROOT)
    entries = json.loads((ROOT / ".vscode/launch.json").read_text())["configurations"]
    names = ["eval: semantic-scannet", "eval: replica", "ft: scannet", "train: scannet", "demo: rooms"]
    names += ["ft: instance_replica", "eval: instance_replica", "demo: instances of rooms", "demo: panoptic rooms"]
    names += ["eval: posed_images"]
    assert [entry["name"] for entry in entries] == names
    for entry in entries:
        config = parse(entry["args"])
        hidden = entry.get("env", {}).get("CUDA_VISIBLE_DEVICES")
        assert config.expects_gpu == (hidden == "2"), entry["name"]
        assert entry["name"].split()[-1].removeprefix("semantic-") in config.data.eval_dataset
    assert not caplog.records
