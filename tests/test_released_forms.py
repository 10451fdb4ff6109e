"""`--compat release` and a protocol of that kind mean the same wherever labels are predicted."""

import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from test_load import posed_photos, target
from tiny_runs import EVALUATION_FRAMES, EVALUATION_SCENES, flags, training
from tiny_scenes import RELEASED, write_intrinsics

import gpnerf
from gpnerf.assembly import build_evaluation
from gpnerf.assembly.data import CONFIGS
from gpnerf.assembly.free_views import build_free_views
from gpnerf.assembly.video import labellings
from gpnerf.checkpoint import export_weights, load_checkpoint, save_checkpoint
from gpnerf.config import parse
from gpnerf.fusion.rendered_views import RenderedViews

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

SCENE, CLASSES, IGNORE_ID = EVALUATION_SCENES[0], 20, 255
KINDS = ["none", "flag", "protocol"]


@pytest.fixture(scope="module")
def root(finished: Path, tmp_path_factory: pytest.TempPathFactory, tiny_setting: None) -> Path:
    """Runs with weights whose likeliest class is "ignore" in about half of the pixels."""
    folder = tmp_path_factory.mktemp("released")
    for kind in ("plain", "released"):
        shutil.copytree(finished / "data", folder / kind / "data")
    for scene in (folder / "released/data/rooms").glob("room_*"):
        write_intrinsics(scene, RELEASED)
    (folder / "val.txt").write_text("\n".join(EVALUATION_SCENES))
    rules = json.loads((CONFIGS / "protocols/rooms_clean.json").read_text())
    (folder / "mine.json").write_text(json.dumps({**rules, "compat": "release"}))
    content = load_checkpoint(finished / "out/gpnerf/model_000006.pth")
    save_checkpoint(folder / "weights.pth", content)
    logits = rendered_logits(folder)
    margin = logits[:-1].amax(dim=0) - logits[-1]
    content["model"]["head.predictor.bias"][-1] += margin.median()
    save_checkpoint(folder / "weights.pth", content)
    return folder


def how(root: Path, kind: str) -> tuple[object, ...]:
    given = {"none": (), "flag": ("--compat", "release"), "protocol": ("--protocol", root / "mine.json")}[kind]
    data = root / ("plain" if kind == "none" else "released")
    return ("--ckpt_path", root / "weights.pth", "--rootdir", data, "--expname", kind, *given)


def rendered_logits(root: Path) -> torch.Tensor:
    trained = build_free_views(parse(flags(root, *how(root, "none"))), SCENE)
    logits = trained.views.render(trained.scene.camera(4)).logits
    assert logits is not None
    return logits


def evaluated(root: Path, kind: str) -> np.ndarray:
    """The labels that an evaluation writes."""
    run = build_evaluation(parse(flags(root, *how(root, kind))))
    run.run()
    return np.stack([iio.imread(run.folder / SCENE / f"semantic_{frame}.png") for frame in EVALUATION_FRAMES])


def filmed(root: Path, kind: str) -> np.ndarray:
    """The labels of a frame as videos and the viewer show them."""
    config = parse(flags(root, *how(root, kind)))
    trained = build_free_views(config, SCENE)
    (classes,) = labellings(config, trained)
    return classes.predict(trained.views.render(trained.scene.camera(4))).numpy()


def fused(root: Path, kind: str) -> np.ndarray:
    """The label that a frame votes for in a mesh; `CLASSES` for none."""
    trained = build_free_views(parse(flags(root, *how(root, kind))), SCENE)
    views = RenderedViews(trained.views, trained.source.protocol, [4], root / f"views_{kind}", kind)
    views.render_missing()
    (view,) = views
    assert view.classes is not None
    return torch.cat([view.classes, 1 - view.classes.sum(dim=0, keepdim=True)]).argmax(dim=0).numpy()


@pytest.mark.parametrize(("labels_of", "ignored"), [(evaluated, IGNORE_ID), (filmed, CLASSES), (fused, CLASSES)])
def test_either_way_the_ignore_class_is_predicted(root: Path, labels_of, ignored: int) -> None:
    none, flag, protocol = (labels_of(root, kind) for kind in KINDS)
    assert np.array_equal(flag, protocol)
    assert not (none == ignored).any() and 0.1 < (flag == ignored).mean() < 0.9


def test_weights_loaded_from_python_predict_as_they_were_trained(root: Path, tmp_path: Path) -> None:
    described = {kind: training(root, *how(root, kind)[2:]).description for kind in KINDS}
    content = load_checkpoint(root / "weights.pth")
    seen = {}
    for kind in KINDS:
        save_checkpoint(tmp_path / "trained.pth", {**content, **described[kind]})
        export_weights(tmp_path / "trained.pth", tmp_path / "exported.pth", released=False)
        views = gpnerf.load(tmp_path / "exported.pth", device="cpu")
        views.encode(**posed_photos())
        seen[kind] = views.render(*target(), height=33, width=38).class_ids
    assert np.array_equal(seen["flag"], seen["protocol"])
    assert seen["none"].max() < CLASSES and (seen["flag"] == CLASSES).any()
