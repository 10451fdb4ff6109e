"""One evaluated view in low precision."""

from typing import Literal

import pytest
import torch
from tiny_model import CLASSES, example, model

from gpnerf.encodings import Encodings
from gpnerf.evaluation.recognition import Task
from gpnerf.evaluation.view import ViewResult, ViewSettings, evaluate_view
from gpnerf.metrics.image import psnr
from gpnerf.metrics.perceptual import LpipsScorer
from gpnerf.rendering import Chunking


def evaluated(seed: int, amp: Literal["none", "bf16"]) -> ViewResult:
    names = tuple(f"class {index}" for index in range(CLASSES))
    settings = ViewSettings(stride=1, chunking=Chunking(512), amp=amp, task=Task(names, (0,), None, "none"))
    encodings = Encodings(model(seed), 1.0)
    return evaluate_view(encodings, example(3, seed=seed), settings, LpipsScorer(None), torch.device("cpu"))


@pytest.mark.parametrize("seed", [0, 1])
def test_bfloat16_changes_a_view_little(seed: int) -> None:
    full, low = evaluated(seed, "none"), evaluated(seed, "bf16")
    assert psnr(low.output.rgb, full.output.rgb) > 35
    difference = (low.output.depth - full.output.depth).abs()
    assert 0 < float((difference / full.output.depth).max()) < 0.01  # not 0: something did run in bfloat16
    assert full.recognised.classes is not None and low.recognised.classes is not None
    assert float((low.recognised.classes == full.recognised.classes).double().mean()) > 0.9
