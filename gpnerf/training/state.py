"""Everything that a training run is made of at one step, and its form in a checkpoint."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass
class TrainingState:
    """Model, optimiser, schedule and counters.

    `network` is what a step calls: the model itself or its distributed wrapper. `consumed` counts the examples that
    were taken from the stream (skipped ones too), `class_counts` the label pixels seen of each class.
    """

    model: nn.Module
    network: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    class_counts: Tensor
    step: int = 0
    consumed: int = 0
    refused: int = field(default=0)

    def content(self) -> dict[str, Any]:
        """Plain values and tensors for a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "rng": torch.get_rng_state(),
            "step": self.step,
            "consumed": self.consumed,
            "class_counts": self.class_counts,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go on from a checkpoint of this program."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        torch.set_rng_state(content["rng"])
        self.step, self.consumed = content["step"], content["consumed"]
        self.class_counts = content["class_counts"]
