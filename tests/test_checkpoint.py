"""Checkpoint files: released names and shapes, damaged and foreign files, writing that never loses the old one."""

import errno
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_files import official_state_dict
from tiny_model import model
from torch import Tensor

from gpnerf.assembly.model import Architecture
from gpnerf.checkpoint import (
    checkpoint_path,
    load_checkpoint,
    load_weights,
    newest_checkpoint,
    save_checkpoint,
)
from gpnerf.checkpoint.released import from_released, released_name, to_released
from gpnerf.errors import UserError

Shapes = dict[str, dict[str, tuple[int, ...]]]
OFFICIAL = official_state_dict()
FULL: dict[str, Any] = {
    "netwidth": 64, "trans_depth": 8, "coarse_features": 32, "fine_features": 0, "encoder_width": 64,
    "encoder_blocks": (3, 4, 6), "head_width": 128, "outputs": 21, "semantic_model": "fpn", "adaptor_relu": True,
    "dropout": 0.1, "samples": 48, "importance": 16, "inverse": True, "plain": False, "insert": True,
    "detach_reference": True, "compat": "none",
}  # fmt: skip
PARTS = ("net_coarse", "net_fine", "feature_net", "feature_fpn", "sem_seg_head")
ADAPTOR = ["net_coarse.semantic_adaptor.0.bias", "net_coarse.semantic_adaptor.0.weight"]


def listed(entry: dict[str, Any]) -> Shapes:
    return {
        part: {name: tuple(shape) for name, shape in entry[part]["tensors"].items()} for part in PARTS if part in entry
    }


def official(form: str) -> Shapes:
    """Names and shapes of a released checkpoint of some form."""
    if form == "gnt":
        return listed(OFFICIAL["gnt_checkpoint"])
    shapes = listed(OFFICIAL["gpnerf_20_plus_1"])
    if form == "52 outputs":
        overrides = OFFICIAL["gpnerf_51_plus_1"]["overrides"]["sem_seg_head"]
        shapes["sem_seg_head"] |= {name: tuple(shape) for name, shape in overrides.items()}
    if form == "two networks":
        overrides = OFFICIAL["single_net_false"]["feature_net_overrides"]
        shapes["feature_net"] |= {name: tuple(shape) for name, shape in overrides.items()}
        shapes["net_fine"] = dict(shapes["net_coarse"])
    if form == "fc":
        extra = OFFICIAL["semantic_model_fc"]["extra"]
        shapes["net_coarse"] |= {name: tuple(shape) for name, shape in extra.items()}
    return shapes


def full_state(**changes: Any) -> dict[str, Tensor]:
    """Names and shapes of the full-size model, without numbers."""
    with torch.device("meta"):
        return Architecture(**{**FULL, **changes}).build().state_dict()


def empty(shapes: Shapes) -> dict[str, dict[str, Tensor]]:
    return {part: {name: torch.empty(s, device="meta") for name, s in each.items()} for part, each in shapes.items()}


def shapes_of(checkpoint: dict[str, dict[str, Tensor]]) -> Shapes:
    return {part: {name: tuple(tensor.shape) for name, tensor in each.items()} for part, each in checkpoint.items()}


@pytest.mark.parametrize(
    ("form", "changes"), [("21 outputs", {}), ("52 outputs", {"outputs": 52}), ("two networks", {"fine_features": 32})]
)
def test_every_released_name_and_shape_maps_to_ours_and_back(form: str, changes: dict[str, Any]) -> None:
    ours, theirs = full_state(**changes), official(form)
    found, unused = from_released(empty(theirs), ours)
    assert found.keys() == ours.keys()
    assert all(tensor.shape == ours[name].shape for name, tensor in found.items())
    # With two networks the coarse one never renders semantics.
    assert unused == (ADAPTOR if form == "two networks" else [])
    if form == "two networks":
        for name in ADAPTOR:
            del theirs["net_coarse"][name.removeprefix("net_coarse.")]
    assert shapes_of(to_released(ours)) == theirs


def test_gnt_gives_everything_but_the_semantic_parts() -> None:
    ours = full_state()
    found, unused = from_released(empty(official("gnt")), ours)
    assert unused == []
    missing = ours.keys() - found.keys()
    assert missing and {name.split(".")[0] for name in missing} == {"renderer", "fpn", "head"}
    assert {name for name in missing if name.startswith("renderer")} == {
        "renderer.coarse.adaptor.0.weight",
        "renderer.coarse.adaptor.0.bias",
    }


def test_the_label_layer_is_used_by_label_rendering_only() -> None:
    ours, checkpoint = full_state(semantic_model="fc"), empty(official("fc"))
    found, unused = from_released(checkpoint, ours)
    assert found.keys() == ours.keys() and "renderer.coarse.label.weight" in found
    assert {name.split(".")[0] for name in unused} == {"net_coarse", "feature_fpn", "sem_seg_head"}
    assert [name for name in unused if name.startswith("net_coarse")] == ADAPTOR
    _, unused = from_released(checkpoint, full_state())
    assert unused == ["net_coarse.semantic_fc.bias", "net_coarse.semantic_fc.weight"]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_released_file_loads_and_the_log_tells_the_rest(
    tmp_path: Path, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = model(seed=1), model(seed=2)
    checkpoint = to_released(source.state_dict())
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    lacking = [name for name in sorted(before) if name.startswith(("fpn.", "head.")) or "adaptor" in name]  # as GNT's
    for name in lacking:
        part, theirs = released_name(name)
        del checkpoint[part][theirs]
    checkpoint["net_coarse"]["semantic_fc.bias"] = torch.zeros(4)
    prefixed: dict[str, Any] = {
        part: {prefix + name: tensor for name, tensor in state.items()} for part, state in checkpoint.items()
    }
    path = tmp_path / "model_000007.pth"
    torch.save({**prefixed, "optimizer": {"state": {}}, "scheduler": {"gamma": 0.6}}, path)
    with caplog.at_level(logging.INFO):
        load_weights(target, load_checkpoint(path), path)
    loaded = target.state_dict()
    for name, tensor in source.state_dict().items():
        assert torch.equal(loaded[name], before[name] if name in lacking else tensor)
    count = len(loaded) - len(lacking)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"{path}: {count} tensors loaded, {len(lacking)} missing, 1 unused",
        f"{path}: missing (kept at their initial values): {', '.join(lacking)}",
        f"{path}: unused: net_coarse.semantic_fc.bias",
    ]


def assert_one_line(error: pytest.ExceptionInfo[UserError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message and all(part in message for part in parts), message


def test_another_width_is_named_with_both_shapes_and_the_flags(tmp_path: Path) -> None:
    content = {"model": model(netwidth=32).state_dict()}
    target = model()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_weights(target, content, tmp_path / "wide.pth")
    name = next(name for name, tensor in before.items() if tensor.shape != content["model"][name].shape)
    shapes = (str(list(state[name].shape)) for state in (content["model"], before))
    assert_one_line(error, "wide.pth", name, *shapes, "netwidth", "num_classes")
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


@pytest.mark.parametrize("content", [{"weights": {}}, {"model": {"other": torch.zeros(1)}}, {"net_coarse": {}}])
def test_weights_of_something_else_are_refused(content: dict[str, Any]) -> None:
    with pytest.raises(UserError) as error:
        load_weights(model(), content, Path("else.pth"))
    assert_one_line(error, "else.pth")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.pth", tmp_path / "cut.pth"
    save_checkpoint(whole, {"model": {"w": torch.arange(100.0)}, "step": 3})
    data = whole.read_bytes()
    for length in range(0, len(data), 37):
        cut.write_bytes(data[:length])
        with pytest.raises(UserError) as error:
            load_checkpoint(cut)
        assert_one_line(error, "cut.pth", f"{length} bytes", "truncated")


class Evil:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path: Path, zipped: bool) -> None:
    path, trap = tmp_path / "evil.pth", tmp_path / "trap"
    if zipped:
        torch.save({"model": Evil(trap)}, path)
    else:
        path.write_bytes(pickle.dumps({"model": Evil(trap)}, protocol=2))
    with pytest.raises(UserError) as error:
        load_checkpoint(path)
    assert_one_line(error, "evil.pth")
    assert "weights_only" not in str(error.value)  # no advice to unpickle it all the same
    assert not trap.exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    text, numbers = tmp_path / "notes.txt", tmp_path / "numbers.pth"
    text.write_text("these are\nnot weights\n")
    torch.save([1, 2], numbers)
    for path, part in ((text, "not a complete checkpoint"), (numbers, "list"), (tmp_path / "no.pth", "no such")):
        with pytest.raises(UserError) as error:
            load_checkpoint(path)
        assert_one_line(error, path.name, part)


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("failing", ["torch.save", "os.fsync"])
def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = checkpoint_path(tmp_path / "run", 5)
    save_checkpoint(path, {"step": 5})
    monkeypatch.setattr(failing, full_disk)
    with pytest.raises(UserError) as error:
        save_checkpoint(path, {"step": 6})
    assert_one_line(error, path.name, "No space left", "disk space")
    monkeypatch.undo()
    assert load_checkpoint(path) == {"step": 5}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(UserError) as error:
        save_checkpoint(tmp_path / "run" / "model_000001.pth", {})
    assert_one_line(error, "model_000001.pth", "could not be written")


def test_the_newest_checkpoint_has_the_highest_number(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (20, 1_000_000, 999_999):
        save_checkpoint(checkpoint_path(tmp_path, step), {"step": step})
    (tmp_path / ".model_2000000.pth.77.tmp").touch()
    (tmp_path / "model_best.pth").touch()
    newest = newest_checkpoint(tmp_path)
    assert newest is not None and load_checkpoint(newest) == {"step": 1_000_000}
