"""Validations of a training: evaluations of its checkpoints, each kept in a folder of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpnerf.assembly.data import data_source, scene_names
from gpnerf.assembly.evaluation import EvaluationRun, describe_checkpoint, evaluation_settings
from gpnerf.checkpoint import checkpoint_path
from gpnerf.config import Config
from gpnerf.distributed import Context
from gpnerf.training import TrainingState

# Scores of the validation scenes, given the counted training labels.
Validation = Callable[[TrainingState, Tensor], dict[str, Any]]


def validation_folder(folder: Path, step: int) -> Path:
    """Where the pictures and scores of a validation lie."""
    return folder / "validation" / f"step_{step:06d}"


def build_validation(
    config: Config, folder: Path, names: Sequence[str], context: Context, device: torch.device
) -> Validation:
    """Evaluates the validation scenes with the current weights; scenes are opened now, so that errors come early."""
    source = data_source(config, config.data.eval_dataset)
    scenes = source.open(names or scene_names(config, source.protocol, "validation"))

    def validate(state: TrainingState, class_counts: Tensor) -> dict[str, Any]:
        described = describe_checkpoint(checkpoint_path(folder, state.step), state.step, context)
        into = validation_folder(folder, state.step)
        settings = evaluation_settings(config, source, scenes, into, described, class_counts)
        evaluation = EvaluationRun(state.model, scenes, source, settings, context, device)  # type: ignore[arg-type]
        return evaluation.kept() or evaluation.run()

    return validate
