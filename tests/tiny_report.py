"""Results and a view for a report, of a few numbers and pixels."""

import base64
from typing import Any

import imageio.v3 as iio
import numpy as np
import torch

from gpnerf.evaluation.report import Comparison
from gpnerf.evaluation.report.comparisons import Pair
from gpnerf.evaluation.results import assemble
from gpnerf.metrics.segmentation import SegmentationScores


def picture(value: int) -> str:
    encoded = iio.imwrite("<bytes>", np.full((4, 6, 3), value, np.uint8), extension=".png")
    return f"data:image/png;base64,{base64.b64encode(encoded).decode()}"


def results(scene: str = "room", names: tuple[str, ...] = ("wall", "floor", "chair")) -> dict[str, Any]:
    matrix = torch.tensor([[90, 10, 0], [20, 30, 0], [0, 0, 0]])
    scores = {7: {"miou": 0.25, "psnr": 21.5}, 8: {"miou": 0.125, "psnr": None}}
    metrics = ("miou", "psnr", "miou_dataset")
    return {
        "protocol": {"name": "clean", "sha256": "0123456789abcdef"},
        "checkpoint": {"path": "model.pth", "step": 6, "sha256": "ab"},
        "environment": {"device": "cpu", "torch": "2"},
        **assemble({scene: scores}, {scene: SegmentationScores(matrix)}, names, [1.0], metrics, {}),
    }


def view(scene: str = "room") -> Comparison:
    return Comparison(scene, 8, {"miou": 0.125}, (Pair("colour", picture(0), picture(255)),))
