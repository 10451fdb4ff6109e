"""Which pixels of the target a step renders, and the random numbers of a step."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

SampleMode = Literal["uniform", "center"]


def step_seed(seed: int, rank: int, step: int, target: int = 0) -> int:
    """A seed that depends on these numbers only, so that a resumed run repeats the run that never stopped."""
    return int(np.random.SeedSequence((seed, rank, step, target)).generate_state(1, np.uint64)[0] >> 1)


def choose_pixels(
    height: int, width: int, count: int, mode: SampleMode, center_ratio: float, generator: torch.Generator
) -> Int64[Tensor, "pixels 2"]:
    """`count` different pixels (u, v), from the whole image or from its central part; all of them if it has fewer.

    `center_ratio` is the central part's side as a share of the image's.
    """
    rows, cols = (height, width) if mode == "uniform" else (round(height * center_ratio), round(width * center_ratio))
    top, left = (height - rows) // 2, (width - cols) // 2
    chosen = torch.randperm(rows * cols, generator=generator, device=generator.device)[:count]
    return torch.stack([left + chosen % cols, top + torch.div(chosen, cols, rounding_mode="floor")], dim=-1)
