"""One evaluated view: rendered, rounded to 8 bits, scored, and compared with two trivial references."""

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpnerf.data.view_selection import pose_distances
from gpnerf.encodings import Encodings
from gpnerf.evaluation.finite import NotFinite, checked_scores
from gpnerf.evaluation.instances import ChannelObjects
from gpnerf.evaluation.recognition import Logits, Recognised, Task, recognise
from gpnerf.metrics.depth import depth_scores
from gpnerf.metrics.image import from_uint8, psnr, ssim, to_uint8
from gpnerf.metrics.perceptual import LpipsScorer
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.rendering import Chunking, render_view
from gpnerf.structures import Example, ImageOutput

Scores = dict[str, float | None]


@dataclass(frozen=True)
class ViewSettings:
    """How views are rendered and scored; no semantics without class names."""

    stride: int
    chunking: Chunking
    amp: Literal["none", "bf16"]
    task: Task


@dataclass(frozen=True)
class ViewResult:
    """Scores of one view, what is recognised in it, and what there is to look at."""

    frame: int
    scores: Scores
    seconds: float
    output: ImageOutput
    recognised: Recognised
    faults: tuple[NotFinite, ...] = ()


@torch.no_grad()
def evaluate_view(
    encodings: Encodings,
    example: Example,
    settings: ViewSettings,
    lpips: LpipsScorer,
    device: torch.device,
    objects: ChannelObjects | None = None,
) -> ViewResult:
    """Render and score one target of a scene; everything returned lies on the CPU.

    `objects`, the instance that each channel of the instance head stands for, are needed where there is such a head.
    """
    model = encodings.model
    moved = example.to(device)
    semantics = bool(settings.task.class_names)
    started = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.amp == "bf16"):
        maps = encodings.encode(example.source_frames, moved.sources)
        output = render_view(
            model, maps, moved.target.camera, example.near, example.far, settings.stride, settings.chunking, semantics
        ).to("cpu")
    seconds = time.perf_counter() - started
    logits, query = (output.logits, output.instance_logits), _query(model, moved, semantics)
    recognised = recognise(logits, query, example.target, settings.task, objects)
    told, fault = checked_scores("logits", dict(recognised.scores), *logits, *query)
    if fault:
        recognised = replace(recognised, scores=told, segmentation=None, overlaps=None, detections=None)
    scores, faults = _measured(output, example, settings.stride, lpips)
    faults = (*faults, fault) if fault else faults
    # What is scored is what the saved pictures hold.
    output = replace(output, rgb=from_uint8(to_uint8(output.rgb)))
    return ViewResult(example.frame, scores | told, seconds, output, recognised, faults)


def nearest_source(example: Example) -> int:
    """The source view whose camera is nearest to the target's."""
    poses = torch.cat([example.target.camera.cam_to_world[None], example.sources.cameras.cam_to_world]).double()
    return int(np.argmin(pose_distances(poses.numpy(), 0)[1:]))


def _measured(
    output: ImageOutput, example: Example, stride: int, lpips: LpipsScorer
) -> tuple[Scores, tuple[NotFinite, ...]]:
    """The scores of colour and depth, and of the nearest source photo in place of the rendering."""
    photos = output.rgb, *(image[:, ::stride, ::stride] for image in (example.target.image, _nearest_photo(example)))
    rgb, truth, copied = (from_uint8(to_uint8(photo)) for photo in photos)
    scores, no_colour = checked_scores("rendered colours", _colour_scores(rgb, truth, lpips), output.rgb)
    scores["psnr_nearest_view"] = psnr(copied, truth)
    depth, no_depth = example.target.depth, None
    if depth is not None:
        errors = depth_scores(output.depth, depth[::stride, ::stride])
        errors, no_depth = checked_scores("rendered depths", errors, output.depth)
        scores |= errors
    return scores, tuple(fault for fault in (no_colour, no_depth) if fault)


def _nearest_photo(example: Example) -> Float[Tensor, "3 height width"]:
    return example.sources.images[nearest_source(example)]


def _colour_scores(
    rgb: Float[Tensor, "3 rows cols"], truth: Float[Tensor, "3 rows cols"], lpips: LpipsScorer
) -> Scores:
    perceptual = lpips.score(rgb, truth)
    return {
        "psnr": psnr(rgb, truth),
        "ssim": ssim(rgb, truth),
        "lpips": None if perceptual is None else perceptual[0],
        "lpips_unscaled": None if perceptual is None else perceptual[1],
    }


def _query(model: GPNeRF, moved: Example, semantics: bool) -> Logits:
    """What the heads make of the real image, if it has a truth to compare that with."""
    target = moved.target
    if not semantics or model.fpn is None or (target.labels is None and target.instances is None):
        return None, None
    classes, instances = model.segment(model.encode_semantics(target.image), *target.image.shape[-2:])
    return None if classes is None else classes.cpu(), None if instances is None else instances.cpu()
