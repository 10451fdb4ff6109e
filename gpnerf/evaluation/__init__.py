"""Renders a split, scores it and writes the result files."""

from gpnerf.evaluation.report import worst_views
from gpnerf.evaluation.results import (
    COCO_SCORES,
    INSTANCE_SCORES,
    PANOPTIC_SCORES,
    SCORES,
    summary_table,
    write_results,
)
from gpnerf.evaluation.run import EvaluationSettings, evaluate
from gpnerf.evaluation.scenes import best_on_test, join_scenes, read_result

__all__ = [
    "COCO_SCORES",
    "INSTANCE_SCORES",
    "PANOPTIC_SCORES",
    "SCORES",
    "EvaluationSettings",
    "best_on_test",
    "evaluate",
    "join_scenes",
    "read_result",
    "summary_table",
    "worst_views",
    "write_results",
]
