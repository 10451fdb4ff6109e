"""The only reader of the config: makes scenes, loaders, model, optimiser and losses from plain numbers."""

from gpnerf.assembly.evaluation import build_evaluation
from gpnerf.assembly.finetuning import build_finetuning
from gpnerf.assembly.training import build_training

__all__ = ["build_evaluation", "build_finetuning", "build_training"]
