"""Evaluates scenes under a protocol: every rank renders its share, rank 0 writes the results."""

import functools
import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gpnerf.data.dataset import EvaluationExamples
from gpnerf.data.loaders import evaluation_loader
from gpnerf.data.protocol import Protocol, resolve
from gpnerf.data.scene import Scene
from gpnerf.distributed import Context
from gpnerf.encodings import Encodings
from gpnerf.evaluation.finite import NotFinite, warn_of
from gpnerf.evaluation.instances import channel_objects
from gpnerf.evaluation.pictures import write_pictures
from gpnerf.evaluation.recognition import Task
from gpnerf.evaluation.report import worst_views
from gpnerf.evaluation.results import SCENE_SUFFIX, Scores, assemble, environment, prepare, write_results
from gpnerf.evaluation.view import ViewResult, ViewSettings, evaluate_view
from gpnerf.metrics.detection import Detections
from gpnerf.metrics.panoptic import SegmentOverlaps
from gpnerf.metrics.perceptual import LPIPS_METRICS, LpipsScorer, lpips_scorer
from gpnerf.metrics.segmentation import SegmentationScores
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.storage import strict_json

_log = logging.getLogger(__name__)

_State = TypeVar("_State", SegmentationScores, SegmentOverlaps, Detections)


@dataclass(frozen=True)
class EvaluationSettings:
    """How to render and score, where to write, and what to say of the weights and the config in the results.

    `inputs` is a digest of all that the results depend on, `data` one of the scenes' files alone.
    """

    view: ViewSettings
    folder: Path
    checkpoint: dict[str, Any]
    config: str
    inputs: str = ""
    data: str = ""


@dataclass
class _Collected:
    """What one scene has gathered so far."""

    scores: dict[int, Scores]
    segmentation: SegmentationScores | None
    overlaps: SegmentOverlaps | None
    seconds: list[float]
    detections: dict[int, Detections] = field(default_factory=dict)
    faults: dict[int, tuple[NotFinite, ...]] = field(default_factory=dict)

    def add(self, result: ViewResult) -> None:
        """One more view."""
        self.scores[result.frame] = result.scores
        self.seconds.append(result.seconds)
        self.segmentation = _sum([self.segmentation, result.recognised.segmentation])
        self.overlaps = _sum([self.overlaps, result.recognised.overlaps])
        if result.recognised.detections is not None:
            self.detections[result.frame] = result.recognised.detections
        self.faults[result.frame] = result.faults

    def of_scene(self, task: Task) -> Scores:
        """The scores of all views as one."""
        scores: Scores = {}
        if self.overlaps is not None:
            scores |= self.overlaps.quality(len(task.class_names)).scores(task.stuff, SCENE_SUFFIX)
        if (detections := _sum(list(self.detections.values()))) is not None:
            scores |= detections.scores()
        return scores


def evaluate(
    model: GPNeRF,
    scenes: Sequence[Scene],
    protocol: Protocol,
    settings: EvaluationSettings,
    context: Context,
    device: torch.device,
) -> dict[str, Any]:
    """Render and score the protocol's targets of the scenes; pictures and results go to `settings.folder`.

    Each process renders its share and writes the pictures of it; the first one writes everything else. Returns the
    content of `metrics.json`. Scores of single views are also appended to `views.jsonl`, scene after scene.
    """
    described = resolve(protocol, scenes)
    lpips = lpips_scorer(device) if LPIPS_METRICS.intersection(protocol.metrics) else LpipsScorer(None)
    context.by_first(lambda: prepare(settings.folder))
    model.eval()
    total = sum(len(protocol.evaluation_indices(scene)) for scene in scenes)
    collected: dict[str, _Collected] = {}
    bar = tqdm(total=total, desc="evaluate", unit="view", disable=not context.is_main)
    with logging_redirect_tqdm(), bar:
        for scene in scenes:
            share = _evaluate_scene(model, scene, protocol, settings, lpips, context, device, bar)
            collected[scene.name] = _merged(context.gather(share), protocol, scene)
            if context.is_main:
                _append(settings.folder / "views.jsonl", scene.name, collected[scene.name].scores)
    task = settings.view.task
    results = {
        "protocol": described,
        "checkpoint": settings.checkpoint,
        "environment": environment(device),
        "inputs": {"sha256": settings.inputs, "data_sha256": settings.data},
        **_assembled(collected, protocol, task),
    }
    if context.is_main:
        warn_of({(scene, frame): found for scene, part in collected.items() for frame, found in part.faults.items()})
        places = [(scene, settings.folder / scene.name) for scene in scenes]
        views = worst_views(results, places, task.class_names, task.stuff, settings.view.stride)
        write_results(settings.folder, results, views, settings.config)
    return results


def _assembled(collected: dict[str, _Collected], protocol: Protocol, task: Task) -> dict[str, Any]:
    """The scores of all scenes."""
    return assemble(
        {scene: part.scores for scene, part in collected.items()},
        {scene: part.segmentation for scene, part in collected.items() if part.segmentation is not None},
        task.class_names,
        [seconds for part in collected.values() for seconds in part.seconds],
        protocol.metrics,
        {scene: part.of_scene(task) for scene, part in collected.items()},
    )


def _evaluate_scene(
    model: GPNeRF,
    scene: Scene,
    protocol: Protocol,
    settings: EvaluationSettings,
    lpips: LpipsScorer,
    context: Context,
    device: torch.device,
    bar: tqdm,
) -> _Collected:
    """This rank's share of a scene."""
    instances = scene.instance_map
    if settings.view.task.class_names and instances is None and not scene.has_labels:
        _log.warning("%s has no label files: colour and depth only are scored", scene.name)
    share = _Collected({}, None, None, [])
    folder = settings.folder / scene.name
    examples = EvaluationExamples(scene, protocol)
    encodings = Encodings(model, settings.view.chunking.memory_budget)
    objects = channel_objects(model, scene, protocol.finetuning_indices(scene), device) if instances else None
    for example in evaluation_loader(examples, rank=context.rank, world_size=context.world_size):
        result = evaluate_view(encodings, example, settings.view, lpips, device, objects)
        write_pictures(folder, example, result, settings.view.task, settings.view.stride, instances)
        share.add(result)
        bar.update(context.world_size)
    return share


def _sum(states: Sequence[_State | None]) -> _State | None:
    """The sum of the states that are there."""
    known = [state for state in states if state is not None]
    return functools.reduce(operator.add, known) if known else None


def _append(path: Path, scene: str, views: Mapping[int, Scores]) -> None:
    with path.open("a", encoding="utf-8") as file:
        for frame, scores in views.items():
            file.write(strict_json({"scene": scene, "frame": frame, **scores}) + "\n")


def _merged(shares: Sequence[_Collected], protocol: Protocol, scene: Scene) -> _Collected:
    """The shares of all ranks as one, in the protocol's order of targets."""
    scores, detections, faults = (
        {frame: value for share in shares for frame, value in getattr(share, part).items()}
        for part in ("scores", "detections", "faults")
    )
    ordered = [int(scene.numbers[index]) for index in protocol.evaluation_indices(scene)]
    return _Collected(
        {frame: scores[frame] for frame in ordered},
        _sum([share.segmentation for share in shares]),
        _sum([share.overlaps for share in shares]),
        [seconds for share in shares for seconds in share.seconds],
        {frame: detections[frame] for frame in ordered if frame in detections},  # equal confidences go by the order
        {frame: faults[frame] for frame in ordered},
    )
