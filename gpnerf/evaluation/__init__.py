"""Renders a split, scores it and writes the result files."""

from gpnerf.evaluation.results import SCORES, summary_table
from gpnerf.evaluation.run import EvaluationSettings, evaluate

__all__ = ["SCORES", "EvaluationSettings", "evaluate", "summary_table"]
