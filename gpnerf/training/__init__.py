"""One training step, and the only training loop."""

from gpnerf.training.loop import Schedule, fit
from gpnerf.training.objective import LossWeights, Objective
from gpnerf.training.state import TrainingState
from gpnerf.training.step import StepSettings, train_step

__all__ = ["LossWeights", "Objective", "Schedule", "StepSettings", "TrainingState", "fit", "train_step"]
