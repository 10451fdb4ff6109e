"""The truth of a room given back as what was rendered and recognised: every score is the best there is."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from spoilt_rooms import copy_room
from torch import Tensor, nn

from gpnerf.assembly.data import CONFIGS, DataSource
from gpnerf.data.protocol import FrameRule
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.distributed import Context
from gpnerf.evaluation import SCORES, EvaluationSettings, evaluate
from gpnerf.evaluation.recognition import Task
from gpnerf.evaluation.view import ViewSettings
from gpnerf.metrics.perceptual import LpipsScorer
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.projection import SourceMaps
from gpnerf.rendering import Chunking
from gpnerf.structures import Cameras, Compat, ImageOutput, SourceViews

CERTAIN = 50.0  # a logit beside zeros
STRIDE = 2
# Errors are 0; the mean squared error has a floor of 1e-6; LPIPS has no network here; two score no prediction.
ERRORS, NO_PREDICTION = ("depth_abs_rel", "depth_rmse"), ("psnr_nearest_view", "miou_most_frequent")
BEST = {**dict.fromkeys(ERRORS, 0.0), "psnr": -10 * math.log10(1e-6), "lpips": None, "lpips_unscaled": None}


class Oracle(GPNeRF):
    """Recognises every photo and every camera of a scene by heart."""

    def __init__(self, scene: Scene, classes: int) -> None:
        nn.Module.__init__(self)
        self.scene, self.classes, self.fpn = scene, classes, nn.Identity()
        self.detach_reference = True

    def encode_sources(self, sources: SourceViews, semantics: bool = True) -> SourceMaps:
        nothing = torch.zeros(1, 1, 1, 1)
        return SourceMaps(sources.cameras, sources.images, nothing, nothing, None)

    def encode_semantics(self, image: Tensor) -> Tensor:
        (frame,) = (k for k in range(len(self.scene)) if torch.equal(self.scene.image(k), image))
        return torch.full((1, 1, 1), float(frame))

    def segment(self, features: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        frame = int(features)
        labels, channels = self.scene.labels(frame), self.scene.channels(frame)
        none = len(self.scene.instance_map.ids)
        return tuple(
            CERTAIN * F.one_hot(ids, outputs).permute(2, 0, 1).float()
            for ids, outputs in ((labels, self.classes + 1), (channels.where(channels >= 0, none), none + 1))
        )

    def render(self, camera: Cameras) -> ImageOutput:
        (frame,) = (
            k for k in range(len(self.scene)) if torch.equal(self.scene.camera(k).cam_to_world, camera.cam_to_world)
        )
        rgb, depth = self.scene.image(frame)[:, ::STRIDE, ::STRIDE], self.scene.depth(frame)[::STRIDE, ::STRIDE]
        logits, instances = self.segment(torch.tensor([[[float(frame)]]]), 0, 0)
        return ImageOutput(rgb, depth, None, logits, instances)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    root = tmp_path_factory.mktemp("truth")
    room = copy_room(root / "data")
    for number in range(12):  # parts of every picture have no instance, others no class
        for folder, part in (("instance-filt", np.s_[20:60, 30:90]), ("label-filt", np.s_[50:90, 60:120])):
            ids = iio.imread(path := room / folder / f"{number}.png")
            ids[part] = 0
            iio.imwrite(path, ids)
    protocol = replace(
        load_protocol("clean", "rooms", CONFIGS),
        evaluation_targets=FrameRule(start=1, step=4),
        num_source_views=3,
        render_stride=STRIDE,
        metrics=SCORES,
    )
    return DataSource(protocol, root, FrameCache(10**8), instances=True)


@pytest.mark.parametrize("compat", ["none", "release"])
def test_the_truth_has_the_best_of_every_score(
    source: DataSource, compat: Compat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scene,) = source.open(["room_0003"])
    oracle = Oracle(scene, len(source.class_names))
    monkeypatch.setattr("gpnerf.evaluation.run.lpips_scorer", lambda device: LpipsScorer(None))
    monkeypatch.setattr("gpnerf.evaluation.view.render_view", lambda model, maps, camera, *_: model.render(camera))
    task = Task(source.class_names, source.stuff, most_frequent_class=0, compat=compat)
    view = ViewSettings(STRIDE, Chunking(), "none", task)
    settings = EvaluationSettings(view, tmp_path, {"path": "oracle", "step": 0, "sha256": ""}, "")
    results: dict[str, Any] = evaluate(oracle, [scene], source.protocol, settings, Context(), torch.device("cpu"))
    mean = results["scenes"][scene.name]["mean"]
    assert list(mean) and set(mean) == set(results["overall"]) == set(SCORES)
    for name in SCORES:
        if name in NO_PREDICTION:
            assert mean[name] != 1
            continue
        assert mean[name] == results["overall"][name] == BEST.get(name, 1.0), name
    for frame, scores in results["scenes"][scene.name]["images"].items():
        for name in set(scores) - set(NO_PREDICTION):
            assert scores[name] in (None, BEST.get(name, 1.0)), (frame, name)
    assert {iou for iou in results["per_class_iou"].values() if iou is not None} == {1.0}
