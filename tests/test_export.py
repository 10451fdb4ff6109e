"""Weights-only files: the same weights in both layouts, fit for use from Python and for further training."""

import hashlib
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import example, model
from tiny_runs import REPOSITORY, training, write_rooms

import gpnerf
from gpnerf.assembly.model import Architecture
from gpnerf.checkpoint import export_weights, load_checkpoint, load_weights, save_checkpoint
from gpnerf.config import parse
from gpnerf.data.dataset import KeyedExamples, MixedExamples
from gpnerf.data.labels import CLASS_NAMES
from gpnerf.errors import UserError
from gpnerf.metrics.perceptual import LpipsScorer
from gpnerf.structures import FrameFailure

SCRIPT = Path(__file__).parent.parent / "scripts" / "export_weights.py"
RELEASED_PARTS = {"net_coarse", "net_fine", "feature_net", "feature_fpn", "sem_seg_head"}


@pytest.mark.parametrize("changes", [{}, {"fine_features": 8}, {"semantic_model": "fc"}])
@pytest.mark.parametrize("released", [True, False])
def test_exported_weights_are_the_same_weights(tmp_path: Path, released: bool, changes: dict[str, Any]) -> None:
    source, target = tmp_path / "model_000003.pth", tmp_path / "weights.pth"
    before = model(seed=1, **changes)
    save_checkpoint(
        source,
        {"model": before.state_dict(), "step": 3, "optimizer": {"state": {}}, "rng": torch.zeros(9, dtype=torch.uint8)},
    )
    export_weights(source, target, released)
    content = torch.load(target, weights_only=True)
    assert set(content) <= (RELEASED_PARTS if released else {"model", "step"})
    after = model(seed=2, **changes)
    load_weights(after, content, target)
    assert all(torch.equal(tensor, after.state_dict()[name]) for name, tensor in before.state_dict().items())


def test_export_refuses_to_write_over_its_source_or_from_released_files(tmp_path: Path) -> None:
    source = tmp_path / "model.pth"
    save_checkpoint(source, {"net_coarse": {}})
    for target, part in ((tmp_path / "." / "model.pth", "another file"), (tmp_path / "x.pth", "of this program")):
        with pytest.raises(UserError, match=part):
            export_weights(source, target, released=False)
    assert load_checkpoint(source) == {"net_coarse": {}}


def export(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_a_trainings_checkpoint_and_its_exports_serve_python_and_further_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpnerf.evaluation.run.lpips_scorer", lambda device: LpipsScorer(None))
    root = write_rooms(tmp_path)
    run = training(root, "--total_step", 1, "--depth_range", 0.4, 5)
    run.run()
    checkpoint, pictures = root / "out" / "gpnerf" / "model_000001.pth", []
    export(monkeypatch, "--ckpt_path", checkpoint, "--out", tmp_path / "weights.pth")
    for path in (checkpoint, tmp_path / "weights.pth"):
        views = gpnerf.load(path, "cpu")
        assert views.depth_range == (0.4, 5.0) and views.class_names == CLASS_NAMES["scannet20"]
        sources, camera = example(3).sources, example(3).target.camera
        views.encode(sources.images, sources.cameras.intrinsics, sources.cameras.cam_to_world)
        pictures.append(views.render(camera.intrinsics, camera.cam_to_world, 33, 38, stride=2))
    assert np.array_equal(pictures[0].colour, pictures[1].colour)
    assert np.array_equal(pictures[0].class_ids, pictures[1].class_ids)
    assert (tmp_path / "weights.pth").stat().st_size < 0.6 * checkpoint.stat().st_size
    export(monkeypatch, "--ckpt_path", checkpoint, "--out", tmp_path / "released.pth", "--layout", "released")
    assert set(load_checkpoint(tmp_path / "released.pth")) == RELEASED_PARTS - {"net_fine"}
    for name in ("weights", "released"):
        started = training(root, "--expname", name, "--ckpt_path", tmp_path / f"{name}.pth").state
        assert started.step == 0
        trained = run.state.model.state_dict()
        assert all(torch.equal(tensor, trained[key]) for key, tensor in started.model.state_dict().items())


def test_the_export_script_ends_with_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        export(monkeypatch, "--ckpt_path", tmp_path / "none.pth", "--out", tmp_path / "out.pth")
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip().splitlines() == [
        f"error: {tmp_path}/none.pth: expected a checkpoint, found no such file; check --ckpt_path"
    ]


class Ranged(KeyedExamples):
    """Nothing but a depth range."""

    def __init__(self, near: float, far: float) -> None:
        super().__init__(seed=0)
        self.range = near, far

    def __len__(self) -> int:
        return 0

    def draw(self, index: int, rng: np.random.Generator) -> FrameFailure:
        return FrameFailure("nowhere", index, "no example")

    @property
    def depth_range(self) -> tuple[float, float]:
        return self.range


def test_the_depth_range_of_mixed_data_sets_holds_all_of_them() -> None:
    assert MixedExamples([Ranged(0.1, 6.0), Ranged(0.3, 8.0)], [1.0, 1.0]).depth_range == (0.1, 8.0)


def test_the_weights_that_come_along_are_small_and_fit_their_preset() -> None:
    path = REPOSITORY / "weights/gnt_rooms.pth"
    assert path.stat().st_size < 8e6
    content = load_checkpoint(path)
    preset = parse(["--config", str(REPOSITORY / "configs/gnt_rooms.txt")])
    architecture = Architecture.of(preset, len(content["class_names"]))
    architecture.require_same(content, path)
    architecture.build().load_state_dict(content["model"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() in (REPOSITORY / "weights/README.md").read_text()
