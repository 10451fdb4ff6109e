"""Parsing, precedence, round trip, comparison and checks of the configuration; the presets' values."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpnerf.config import differences, parse
from gpnerf.errors import UserError

ROOT = Path(__file__).parent.parent
PRESETS = sorted((ROOT / "configs").glob("gnt_*.txt"))

# Per preset, from the paper: rays, steps, rate decay steps, weights of colour, semantics, distillation and depth.
PAPER = {
    "gnt_scannet": (500, 250_000, 100_000, 0.25, 0.75, 0.25, 0.0),
    "gnt_scannet_ft": (450, 16_000, 100_000, 0.25, 0.75, 0.25, 0.25),
    "gnt_replica": (400, 16_000, 4_000, 0.25, 0.75, 0.5, 0.0),
    "gnt_replica_ft": (400, 16_000, 100_000, 0.25, 0.75, 0.5, 0.0),
    "gnt_replica_instance": (400, 6_000, 100_000, 1.0, 0.5, 0.25, 0.5),
}

positive = st.floats(1e-30, 1e30, allow_nan=False)
word = st.text("abcXYZ019_-./# ;'", min_size=1).map(lambda text: f"a{text}z")


# One flag of every kind of value, in its group.
VALUES = {
    "run": {"rootdir": word.map(Path), "protocol": word, "seed": st.integers(0, 2**62)},
    "data": {
        "train_dataset": st.just("train_scannet+val_rooms"),
        "dataset_weights": st.just(()) | st.tuples(positive, positive),
        "train_scenes": st.lists(st.sampled_from(["scene0000_00", "room_0", "1"])).map(tuple),
        "train_set_list": st.none() | word.map(Path),
        "depth_range": st.none() | positive.map(lambda near: (near, 2 * near)),
        "original_width": st.none() | st.integers(32, 9999),
    },
    "model": {
        "single_net": st.booleans(),
        "encoder_blocks": st.tuples(*[st.integers(1, 9)] * 3),
        "semantic_model": st.sampled_from(["fpn", "fc"]),
    },
    "optim": {"lrate_gnt": positive},
}


@given(st.fixed_dictionaries({group: st.fixed_dictionaries(values) for group, values in VALUES.items()}))
@settings(max_examples=60, deadline=None)
def test_text_form_parses_back_to_the_same(tmp_path_factory: pytest.TempPathFactory, values: dict) -> None:
    base = parse([])
    config = replace(base, **{group: replace(getattr(base, group), **changed) for group, changed in values.items()})
    file = tmp_path_factory.mktemp("config") / "resolved.txt"
    file.write_text(config.to_text())
    assert parse(["--config", str(file)]) == config


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_is_valid_and_round_trips(preset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = parse(["--config", str(preset)])
    file = tmp_path / "resolved.txt"
    file.write_text(config.to_text())
    assert parse(["--config", str(file)]) == config
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()
    assert config.run.expname == preset.stem
    assert config.expects_gpu == ("rooms" not in preset.stem and "photos" not in preset.stem)
    assert not caplog.records


@pytest.mark.parametrize("name", PAPER)
def test_preset_has_the_papers_values(name: str) -> None:
    config = parse(["--config", str(ROOT / f"configs/{name}.txt")])
    optim, loss, render, model = config.optim, config.loss, config.render, config.model
    recognition = loss.instance_loss_scale if config.run.task == "instance" else loss.semantic_loss_scale
    assert PAPER[name] == (
        optim.N_rand, optim.total_step, optim.lrate_decay_steps,
        loss.render_loss_scale, recognition, loss.distill_loss_scale, loss.depth_loss_scale,
    )  # fmt: skip
    assert (optim.lrate_gnt, optim.lrate_feature, optim.lrate_semantic, optim.lrate_decay_factor) == (
        1e-5,
        5e-3,
        5e-3,
        0.6,
    )
    assert (render.N_samples, render.N_importance, render.inv_uniform) == (48, 16, True)
    assert (model.netwidth, model.trans_depth, config.data.num_source_views) == (64, 8, None)
    assert (loss.depth_guided_negative, loss.feature_fusion, model.adaptor_activation) == ("anti", "insert", "relu")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [([], True), (["True"], True), (["False"], False), (["false"], False), (["1"], True), (["0"], False)],
)
def test_boolean_is_switched_on_and_off(typed: list[str], expected: bool, tmp_path: Path) -> None:
    file = tmp_path / "preset.txt"
    file.write_text(f"single_net = {not expected}\ndet{' = ' if typed else ''}{''.join(typed)}\n")
    config = parse(["--config", str(file), "--single_net", *typed])
    assert (config.model.single_net, config.render.det) == (expected, expected)


def test_command_line_wins_over_file_wins_over_default(tmp_path: Path) -> None:
    file = tmp_path / "preset.txt"
    file.write_text("# a comment\nN_rand = 11  # rays\nN_samples = 22\ndataset_weights = [1]\nckpt_path =\n")
    config = parse(["--N_rand", "33", "--config", str(file), "-j", "0"])
    assert (config.optim.N_rand, config.render.N_samples, config.render.N_importance) == (33, 22, 64)
    assert (config.data.dataset_weights, config.optim.ckpt_path, config.run.num_workers) == ((1.0,), None, 0)


def test_empty_value_takes_an_optional_flag_back(tmp_path: Path) -> None:
    file = tmp_path / "preset.txt"
    file.write_text("num_classes = 51\nval_set_list = a.txt\n")
    config = parse(["--config", str(file), "--num_classes", "", "--val_set_list="])
    assert (config.model.num_classes, config.data.val_set_list) == (None, None)


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("N_sample", "N_samples"), ("n_rand", "N_rand"), ("lrate_semantics", "lrate_semantic"), ("confg", "config"),
     ("N_imp", "N_importance"), ("exp-name", "expname"), ("zzzz", "")],
)  # fmt: skip
def test_unknown_key_names_the_nearest_one(typed: str, nearest: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"command line: unknown key '{typed}'; the nearest known one is '{nearest}"):
        parse([f"--{typed}", "5"])
    file = tmp_path / "preset.txt"
    file.write_text(f"N_rand = 3\n{typed} = 5\n")
    with pytest.raises(UserError, match=f"preset.txt: unknown key '{typed}'; the nearest known one is '{nearest}"):
        parse(["--config", str(file)])


@pytest.mark.parametrize(
    ("line", "found"),
    [("N_rand = many", "many"), ("N_rand = 2.5", "2.5"), ("det = perhaps", "perhaps"), ("N_rand = [1, 2]", "1, 2"),
     ("device = tpu", "tpu"), ("depth_range = [1]", "2 arguments"), ("n_iters = x", "'x'"),
     ("num_workers = x", "'x'"), ("dataset_weights = [a, b]", "'a'")],
)  # fmt: skip
def test_value_of_the_wrong_kind_names_file_and_flag(line: str, found: str, tmp_path: Path) -> None:
    file = tmp_path / "preset.txt"
    file.write_text(f"{line}\n")
    with pytest.raises(UserError) as error:
        parse(["--config", str(file)])
    message = str(error.value)
    assert message.startswith(str(file)) and line.split()[0] in message and found in message and "\n" not in message


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00binary"])
def test_unreadable_config_file_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "preset.txt"
    if content:
        file.write_bytes(content)
    with pytest.raises(UserError, match=str(file)):
        parse(["--config", str(file)])


def test_stray_word_is_refused() -> None:
    with pytest.raises(UserError, match="unexpected 'configs/gnt_rooms'"):
        parse(["configs/gnt_rooms"])


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("--N_rand 0", "N_rand"),
        ("--seed -1", "seed"),
        ("--lrate_gnt nan", "lrate_gnt"),
        ("--distill_loss_scale inf", "distill_loss_scale"),
        ("--expname ../x", "expname"),
        ("--expname /x", "expname"),
        ("--expname=", "expname"),
        ("--train_dataset scannet", "train_dataset"),
        ("--train_dataset train_scannet+instance_replica", "--task instance"),
        ("--eval_dataset instance_replica", "--task instance"),
        ("--task instance --semantic_model fc", "fpn"),
        ("--task panoptic --semantic_model fc", "fpn"),
        ("--eval_dataset ibrnet_collected", "eval_dataset"),
        ("--train_dataset train_scannet+train_rooms --dataset_weights 1", "dataset_weights"),
        ("--dataset_weights 0", "dataset_weights"),
        ("--dataset_weights nan", "dataset_weights"),
        ("--depth_range 6 0.1", "depth_range"),
        ("--depth_range 0 6", "depth_range"),
        ("--netwidth 20", "netwidth"),
        ("--head_width 48", "head_width"),
        ("--encoder_blocks 3 4", "encoder_blocks"),
        ("--num_classes 20 --ignore_label 19", "ignore_label"),
        ("--original_width 16", "original_width"),
        ("--render_stride 3", "render_stride"),
        ("--N_samples 2", "N_samples"),
        ("--N_samples 4 --N_importance 0", "n_p"),
        ("--renderer plain --kernels triton", "--kernels"),
        ("--renderer plain --recompute", "--recompute"),
        ("--renderer plain --compile", "--compile"),
        ("--center_ratio 1.5", "center_ratio"),
        ("--center_ratio 0", "center_ratio"),
        ("--lrate_decay_factor 0", "lrate_decay_factor"),
    ],
)
def test_contradiction_is_one_clear_line(command: str, flag: str) -> None:
    with pytest.raises(UserError, match=flag) as error:
        parse(command.split())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "command",
    [
        "--N_importance 0",
        "--N_samples 5 --N_importance 0",
        "--head_width 8",
        "--expname a/b",
        "--renderer plain --kernels torch",
    ],
)
def test_edge_of_what_is_allowed(command: str) -> None:
    parse(command.split())


def test_differences_name_only_what_changes_the_result() -> None:
    base = parse([])
    harmless = "--expname b --device cpu -j 0 --i_print 1 --save_interval 2 --chunk_size 1 --total_step 3 --rootdir b"
    assert differences(base, parse(harmless.split())) == []
    changed = parse(["--expname", "b", "--N_rand", "7", "--seed", "1"])
    assert differences(base, changed) == [("seed", 0, 1), ("N_rand", 512, 7)]
    assert differences(changed, base) == [("seed", 1, 0), ("N_rand", 7, 512)]
