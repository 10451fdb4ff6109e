"""What is recognised in one view, and how well: classes, instances, and both as one segmentation."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Int64
from torch import Tensor

from gpnerf.evaluation.instances import ChannelObjects
from gpnerf.evaluation.panoptic import PanopticMap
from gpnerf.metrics.boundary import near_borders
from gpnerf.metrics.detection import Detections
from gpnerf.metrics.panoptic import SegmentOverlaps
from gpnerf.metrics.segmentation import SegmentationScores, predicted_labels
from gpnerf.structures import Compat, TargetView

Scores = dict[str, float | None]
# Logits of classes and of instances; None where there is no head for them.
Logits = tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Task:
    """What there is to recognise: the classes (their number is the ignore label), and which of them are stuff."""

    class_names: tuple[str, ...]
    stuff: tuple[int, ...]
    most_frequent_class: int | None
    compat: Compat


@dataclass(frozen=True)
class Recognised:
    """Maps of a view, as far as they were asked for, with their scores and what adds up over views."""

    classes: Int64[Tensor, "height width"] | None = None
    instances: Int64[Tensor, "height width"] | None = None
    panoptic: PanopticMap | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    segmentation: SegmentationScores | None = None
    overlaps: SegmentOverlaps | None = None
    detections: Detections | None = None


def recognise(
    logits: Logits, query: Logits, target: TargetView, task: Task, objects: ChannelObjects | None
) -> Recognised:
    """The maps of a view and their scores; `query` are the logits of its real image, the ceiling.

    `objects` tell what the channels of instances stand for. Everything lies on the CPU.
    """
    classes = None if logits[0] is None else predicted_labels(logits[0], task.compat)
    instances = panoptic = overlaps = segmentation = detections = None
    scores: Scores = {}
    if classes is not None and target.labels is not None:
        segmentation = _segmentation(target.labels, classes, task)
        scores |= segmentation.image(task.compat) | _class_references(classes, query[0], target.labels, task)
    if logits[1] is not None and objects is not None:
        instances = objects.likeliest(logits[1])
        if target.instances is not None and query[1] is not None:
            scores |= objects.scores(logits[1], query[1], target.instances)
            detections = objects.detections(logits[1], target.instances)
    if classes is not None and logits[1] is not None and objects is not None:
        panoptic = PanopticMap.predicted(classes, logits[1], objects, len(task.class_names), task.stuff)
        overlaps = _overlaps(panoptic, target, task)
        if overlaps is not None:
            quality = overlaps.quality(len(task.class_names))
            scores |= quality.scores(task.stuff) | _panoptic_ceiling(query, target, task, objects)
    return Recognised(classes, instances, panoptic, scores, segmentation, overlaps, detections)


def _segmentation(truth: Tensor, predicted: Tensor, task: Task) -> SegmentationScores:
    count = len(task.class_names)
    return SegmentationScores.of(truth, predicted, num_classes=count, ignore=count)


def _class_references(predicted: Tensor, query: Tensor | None, truth: Tensor, task: Task) -> Scores:
    """Beside the borders of classes: the ceiling (the head on the real image's features) and the floor (one class
    everywhere).
    """
    borders = near_borders(truth, ignore=len(task.class_names))
    ceiling = constant = None
    if query is not None:
        ceiling = _segmentation(truth, predicted_labels(query, task.compat), task).image(task.compat)["miou"]
    if task.most_frequent_class is not None:
        everywhere = torch.full_like(truth, task.most_frequent_class)
        constant = _segmentation(truth, everywhere, task).image(task.compat)["miou"]
    near = _segmentation(borders, predicted, task).image()["miou"]
    return {"miou_boundary": near, "miou_query": ceiling, "miou_most_frequent": constant}


def _overlaps(panoptic: PanopticMap, target: TargetView, task: Task) -> SegmentOverlaps | None:
    if target.labels is None or target.instances is None:
        return None
    return panoptic.overlaps(target.labels, target.instances, len(task.class_names), task.stuff)


def _panoptic_ceiling(query: Logits, target: TargetView, task: Task, objects: ChannelObjects) -> Scores:
    assert query[0] is not None and query[1] is not None, "both heads have decoded the real image too"
    classes = predicted_labels(query[0], task.compat)
    count = len(task.class_names)
    overlaps = _overlaps(PanopticMap.predicted(classes, query[1], objects, count, task.stuff), target, task)
    assert overlaps is not None
    return {"pq_query": overlaps.quality(count).scores(task.stuff)["pq"]}
