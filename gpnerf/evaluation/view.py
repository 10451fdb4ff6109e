"""One evaluated view: rendered, rounded to 8 bits, scored, and compared with two trivial references."""

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.data.view_selection import pose_distances
from gpnerf.encodings import Encodings
from gpnerf.evaluation.instances import instance_scores, predicted_instances
from gpnerf.metrics.depth import depth_scores
from gpnerf.metrics.image import from_uint8, psnr, ssim, to_uint8
from gpnerf.metrics.perceptual import LpipsScorer
from gpnerf.metrics.segmentation import SegmentationScores, predicted_labels
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.rendering import Chunking, render_view
from gpnerf.structures import Compat, Example, ImageOutput

Scores = dict[str, float | None]


@dataclass(frozen=True)
class ViewSettings:
    """How views are rendered and scored; no semantics without `class_names`. The ignore label is their number."""

    stride: int
    chunking: Chunking
    amp: Literal["none", "bf16"]
    compat: Compat
    class_names: tuple[str, ...]
    most_frequent_class: int | None


@dataclass(frozen=True)
class ViewResult:
    """Scores of one view, its segmentation state, and what there is to look at."""

    frame: int
    scores: Scores
    segmentation: SegmentationScores | None
    seconds: float
    output: ImageOutput
    predicted: Int64[Tensor, "height width"] | None
    instances: Int64[Tensor, "height width"] | None = None


@torch.no_grad()
def evaluate_view(
    encodings: Encodings,
    example: Example,
    settings: ViewSettings,
    lpips: LpipsScorer,
    device: torch.device,
    objects: Int64[Tensor, "channels"] | None = None,
) -> ViewResult:
    """Render and score one target of a scene; everything returned lies on the CPU.

    With `objects`, the instance that each channel of the head stands for, instances are segmented instead of classes.
    """
    model = encodings.model
    moved = example.to(device)
    semantics = bool(settings.class_names)
    started = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.amp == "bf16"):
        maps = encodings.encode(example.source_frames, moved.sources)
        output = render_view(
            model, maps, moved.target.camera, example.near, example.far, settings.stride, settings.chunking, semantics
        ).to("cpu")
    seconds = time.perf_counter() - started
    # What is scored is what the saved pictures hold.
    output = replace(output, rgb=from_uint8(to_uint8(output.rgb)))
    scores = _colour_scores(output.rgb, example, settings.stride, lpips)
    if example.target.depth is not None:
        scores |= depth_scores(output.depth, example.target.depth[:: settings.stride, :: settings.stride])
    predicted = state = instances = None
    if output.logits is not None and objects is not None:
        instances = predicted_instances(output.logits, objects)
        scores |= _instance_scores(model, moved, output.logits, example.target.instances)
    elif output.logits is not None:
        predicted = predicted_labels(output.logits, settings.compat)
    if predicted is not None and example.target.labels is not None:
        state = _state(example.target.labels, predicted, settings)
        scores |= state.image(settings.compat)
        scores |= _semantic_references(model, moved, example.target.labels, settings)
    return ViewResult(example.frame, scores, state, seconds, output, predicted, instances)


def nearest_source(example: Example) -> int:
    """The source view whose camera is nearest to the target's."""
    poses = torch.cat([example.target.camera.cam_to_world[None], example.sources.cameras.cam_to_world]).double()
    return int(np.argmin(pose_distances(poses.numpy(), 0)[1:]))


def _colour_scores(rgb: Float[Tensor, "3 rows cols"], example: Example, stride: int, lpips: LpipsScorer) -> Scores:
    truth = from_uint8(to_uint8(example.target.image[:, ::stride, ::stride]))
    copied = from_uint8(to_uint8(example.sources.images[nearest_source(example)][:, ::stride, ::stride]))
    perceptual = lpips.score(rgb, truth)
    return {
        "psnr": psnr(rgb, truth),
        "ssim": ssim(rgb, truth),
        "lpips": None if perceptual is None else perceptual[0],
        "lpips_unscaled": None if perceptual is None else perceptual[1],
        "psnr_nearest_view": psnr(copied, truth),
    }


def _semantic_references(model: GPNeRF, moved: Example, truth: Tensor, settings: ViewSettings) -> Scores:
    """The ceiling (the head on the real image's features) and the floor (one class everywhere)."""
    query = constant = None
    if model.head is not None:
        features = model.encode_semantics(moved.target.image)
        logits = model.segment(features, *truth.shape).cpu()
        query = _state(truth, predicted_labels(logits, settings.compat), settings).image(settings.compat)["miou"]
    if settings.most_frequent_class is not None:
        everywhere = torch.full_like(truth, settings.most_frequent_class)
        constant = _state(truth, everywhere, settings).image(settings.compat)["miou"]
    return {"miou_query": query, "miou_most_frequent": constant}


def _instance_scores(model: GPNeRF, moved: Example, logits: Tensor, truth: Tensor | None) -> Scores:
    """Scores of the rendered instances and, the ceiling, of those that the head finds in the real image."""
    if truth is None:
        return {}
    query = model.segment(model.encode_semantics(moved.target.image), *truth.shape).cpu()
    return instance_scores(logits, query, truth)


def _state(truth: Tensor, predicted: Tensor, settings: ViewSettings) -> SegmentationScores:
    classes = len(settings.class_names)
    return SegmentationScores.of(truth, predicted, num_classes=classes, ignore=classes)
