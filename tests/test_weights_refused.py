"""Files that are whole checkpoints and hold no weights: refused by every loader, with the tensor's or entry's name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import FAR, NEAR, architecture, model

import gpnerf
from gpnerf.assembly.starting import _load_optimizer, continue_run
from gpnerf.checkpoint import export_weights, load_checkpoint, load_weights, newest_checkpoint, save_checkpoint
from gpnerf.checkpoint.released import to_released
from gpnerf.config import Config
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.training import TrainingState

NAMES = ["wall", "floor", "chair"]
WEIGHT = "renderer.coarse.colour.weight"
Damage = Callable[[dict[str, Any]], object]


def training_state() -> TrainingState:
    network = model(seed=1)
    optimizer = torch.optim.Adam(network.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.5)
    return TrainingState(network, network, optimizer, scheduler, torch.zeros(3, dtype=torch.int64))


def stepped() -> TrainingState:
    """A state whose optimiser has moments."""
    state = training_state()
    sum(weight.sum() for weight in state.model.parameters()).backward()
    state.optimizer.step()
    state.scheduler.step()
    state.step = 4
    return state


def content() -> dict[str, Any]:
    """What training saves of the tiny model."""
    described = {"architecture": architecture().to_dict(), "class_names": NAMES, "depth_range": (NEAR, FAR)}
    return {**stepped().content(Context()), **described}


def written(folder: Path, damage: Damage, given: dict[str, Any] | None = None) -> Path:
    whole = content() if given is None else given
    damage(whole)
    path = folder / "model_000004.pth"
    save_checkpoint(path, whole)
    return path


def put(place: str, value: Any) -> Damage:
    """Sets the entry at a dotted place; the value may be made from what is there."""

    def damage(whole: dict[str, Any]) -> None:
        *parts, last = place.split("/")
        for part in parts:
            whole = whole[part if isinstance(whole, dict) and part in whole else int(part)]
        whole[last] = value(whole[last]) if callable(value) else value

    return damage


def spoilt(number: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[-1] = number
        return tensor

    return change


FOREIGN: dict[str, Callable[[torch.Tensor], Any]] = {
    "NaN": spoilt(float("nan")),
    "infinity": spoilt(float("inf")),
    "beyond float32": lambda tensor: spoilt(1e300)(tensor.double()),
    "int64": lambda tensor: tensor.long(),
    "int8": lambda tensor: tensor.to(torch.int8),
    "bool": lambda tensor: tensor.bool(),
    "complex64": lambda tensor: tensor.to(torch.complex64),
    "sparse": lambda tensor: tensor.to_sparse(),
    "repeated": lambda tensor: torch.zeros(1).expand(10**12),
    "list": lambda tensor: tensor.tolist(),
    "dict": lambda tensor: {"weight": tensor},
    "None": lambda tensor: None,
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("released", [False, True])
def test_a_tensor_that_is_no_weight_is_named_by_every_loader(tmp_path: Path, kind: str, released: bool) -> None:
    whole = to_released(content()["model"]) if released else content()
    place, name = ("net_coarse", "rgb_fc.weight") if released else ("model", WEIGHT)
    path = written(tmp_path, put(f"{place}/{name}", FOREIGN[kind]), dict(whole))
    loaders: list[Callable[[], object]] = [
        lambda: load_checkpoint(path),  # training, evaluation, videos, geometry, the viewer
        lambda: gpnerf.load(path, "cpu"),
        lambda: export_weights(path, tmp_path / "exported.pth", released=False),
        lambda: newest_checkpoint(tmp_path),  # resuming
        lambda: continue_run(training_state(), path, {}, Context()),
    ]
    for load in loaders:
        with pytest.raises(UserError) as error:
            load()
        message = str(error.value)
        assert name in message and "model_000004.pth" in message and "\n" not in message


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_fractions_of_other_precision_are_weights(tmp_path: Path, kind: torch.dtype) -> None:
    path = written(tmp_path, put(f"model/{WEIGHT}", lambda tensor: tensor.to(kind)))
    target = model(seed=2)
    load_weights(target, load_checkpoint(path), path)
    expected = model(seed=1).state_dict()[WEIGHT]
    assert torch.allclose(target.state_dict()[WEIGHT], expected, atol=1e-2 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *(("model", value) for value in (torch.zeros(3), [1, 2], None, "weights")),
        *(("architecture", value) for value in (3, [1], {1: 2})),
        *(("architecture/netwidth", value) for value in ("16", 16.0, True, -16, 10**9, None, torch.tensor(16))),
        *(("architecture/trans_depth", value) for value in (0, 10**9)),
        *(("architecture/encoder_blocks", value) for value in (3, "111", [1, 1], [1, 1, 10**9])),
        *(("architecture/semantic_model", value) for value in ("x", 3)),
        *(("architecture/dropout", value) for value in (float("nan"), "0.1", 2)),
        *(("class_names", value) for value in (7, "wall", [1, 2, 3], {"wall": 0})),
        *(("depth_range", value) for value in (3, (1.0,), (2.0, 1.0), (0.5, float("nan")), ("a", "b"), None)),
        *(("step", value) for value in (-1, 2.5, "4", True, None, 2**70, torch.tensor(4))),
        *(("class_counts", value) for value in ([1, 2], torch.zeros(3), -torch.ones(3).long(), torch.tensor(3))),
        *(("task", value) for value in ("detection", 3)),
    ],
)
def test_an_entry_of_another_kind_is_named(tmp_path: Path, place: str, value: Any) -> None:
    path = written(tmp_path, put(place, value))
    with pytest.raises(UserError) as error:
        gpnerf.load(path, "cpu")
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message and len(message) < 400
    assert place.split("/")[-1] in message or "tensors lacking" in message


def first_moment(change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    def damage(whole: dict[str, Any]) -> None:
        moments = whole["optimizer"]["state"][0]
        moments["exp_avg"] = change(moments["exp_avg"])

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (first_moment(spoilt(float("nan"))), "optimizer.state.0.exp_avg"),
        (first_moment(lambda moment: moment[..., :1]), "exp_avg of shape"),
        (put("optimizer/param_groups", lambda groups: groups[:0]), "parameter groups"),
        (put("optimizer/param_groups/0/lr", "fast"), "optimizer"),
        (put("optimizer/param_groups/0/betas", (0.9, float("nan"))), "optimizer"),
        (put("optimizer/state", [1]), "optimizer"),
        (put("optimizer", torch.zeros(3)), "optimizer"),
        (put("scheduler", 3), "scheduler"),
        (put("scheduler/last_epoch", "ten"), "scheduler"),
        (put("scheduler/step_size", 0), "scheduler"),
        (put("rng", torch.zeros(7)), "rng"),
        (put("rng", torch.zeros(7, dtype=torch.uint8)), "RNG"),
        (put("consumed", [1, "x"]), "consumed"),
        (put("class_counts", torch.zeros(5, dtype=torch.int64)), "5 classes"),
        (put("refused", -1), "refused"),
        (put("data_sha256", 7), "data_sha256"),
    ],
)
def test_a_broken_state_of_training_is_not_continued(tmp_path: Path, damage: Damage, words: str) -> None:
    path = written(tmp_path, damage)
    with pytest.raises(UserError, match=words) as error:
        continue_run(training_state(), path, {}, Context())
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_moments_of_another_shape_are_not_taken_over() -> None:
    saved = stepped().optimizer.state_dict()
    saved["state"][0]["exp_avg_sq"] = torch.zeros(1, 2, 3)
    with pytest.raises(UserError, match=r"exp_avg_sq of shape .*--no_load_opt"):
        _load_optimizer(Config(), training_state(), saved)


@pytest.mark.parametrize("part", ["feature_net", "sem_seg_head", "feature_fpn"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_released_file_without_a_part_is_no_start(tmp_path: Path, part: str, whole: bool) -> None:
    given = to_released(content()["model"])
    if whole and part == "feature_fpn":  # with neither, it would be GNT's
        del given["net_coarse"]["semantic_adaptor.0.bias"]
    elif whole:
        del given[part]
    else:
        del given[part][min(given[part])]
    path = written(tmp_path, lambda _: None, dict(given))
    with pytest.raises(UserError, match=r"model_000004\.pth: expected the whole model, found no \w+\."):
        load_weights(model(seed=2), load_checkpoint(path), path)


@pytest.mark.parametrize("value", [None, [1, 2], torch.zeros(2), {1: torch.zeros(2)}, {"module.x": "y"}])
def test_a_released_part_of_another_kind_is_named(tmp_path: Path, value: Any) -> None:
    path = written(tmp_path, put("feature_net", value), dict(to_released(content()["model"])))
    with pytest.raises(UserError, match="feature_net"):
        load_checkpoint(path)


def test_integer_counters_beside_released_weights_are_let_through(tmp_path: Path) -> None:
    given = to_released(content()["model"])
    given["feature_net"]["bn1.num_batches_tracked"] = torch.tensor(7)
    path = written(tmp_path, lambda _: None, dict(given))
    load_weights(model(seed=2), load_checkpoint(path), path)
