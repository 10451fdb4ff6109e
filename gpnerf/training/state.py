"""Everything that a training run is made of at one step, and its form in a checkpoint."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from gpnerf.distributed import Context
from gpnerf.training.graph import StepGraph


@dataclass
class TrainingState:
    """Model, optimiser, schedule and counters.

    `network` is what a step calls: the model itself or its distributed wrapper. `consumed` counts the examples that
    this process has taken from its stream (skipped ones too), `class_counts` the label pixels of each class that it
    has seen, `refused` the latest steps in a row that were not finite. `graph` replays captured steps.
    """

    model: nn.Module
    network: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    class_counts: Tensor
    step: int = 0
    consumed: int = 0
    refused: int = field(default=0)
    graph: StepGraph | None = None

    def content(self, context: Context) -> dict[str, Any]:
        """Plain values and tensors for a checkpoint; every process must ask for them."""
        parts = context.gather((self.consumed, self.class_counts))
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "rng": torch.get_rng_state(),
            "step": self.step,
            "consumed": [consumed for consumed, _ in parts],
            "class_counts": sum(counts for _, counts in parts),
            "refused": self.refused,
        }

    def restore(self, content: dict[str, Any], context: Context) -> None:
        """Go on from a checkpoint of this program, with any number of processes."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        torch.set_rng_state(content["rng"])
        self.step, self.refused = content["step"], content.get("refused", 0)
        consumed = content["consumed"]
        if isinstance(consumed, int):  # as earlier versions wrote it
            consumed = [consumed] * context.world_size
        if len(consumed) == context.world_size:
            self.consumed = consumed[context.rank]
        else:  # the others share out what all of them together have not seen
            self.consumed = -(-sum(consumed) // context.world_size)
        # All that was counted so far is one process's share of the sum.
        self.class_counts = content["class_counts"] * int(context.is_main)
