"""Which pixels of the target a step renders, and the random numbers of a step."""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

SampleMode = Literal["uniform", "center", "patch"]

_CELL = 2  # pixels a side; the perception head reads a map of half the image's size


def step_seeds(seed: int, step: int, place: int) -> tuple[int, int]:
    """Seeds of the pixels (with their jitter) and of the dropout of a step's target.

    They depend on these numbers only, so that a resumed run repeats the run that never stopped. `place` counts the
    step's targets over all processes, so that N processes draw what one would that accumulates N times as many.
    """
    return _seed(seed, 0, step, 1 + place), _seed(seed, place, step, 0)


def choose_pixels(
    height: int, width: int, count: int, mode: SampleMode, center_ratio: float, generator: torch.Generator
) -> Int64[Tensor, "pixels 2"]:
    """`count` different pixels (u, v), from the whole image or from its central part; all of them if it has fewer.

    `center_ratio` is the central part's side as a share of the image's. With `patch`, half of them (or the largest
    square number below) are neighbouring cells of the semantic feature map, the others come from the whole image.
    """
    if mode == "patch":
        return _patch_and_others(height, width, count, generator)
    rows, cols = (height, width) if mode == "uniform" else (round(height * center_ratio), round(width * center_ratio))
    top, left = (height - rows) // 2, (width - cols) // 2
    chosen = torch.randperm(rows * cols, generator=generator, device=generator.device)[:count]
    return torch.stack([left + chosen % cols, top + torch.div(chosen, cols, rounding_mode="floor")], dim=-1)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _patch_and_others(height: int, width: int, count: int, generator: torch.Generator) -> Int64[Tensor, "pixels 2"]:
    device, cells = generator.device, (-(-height // _CELL), -(-width // _CELL))
    side = min(*cells, math.isqrt(count // 2))
    # On the generator's device all along, since a GPU is not to be waited for.
    top, left = (torch.randint(n - side + 1, (), generator=generator, device=device) for n in cells)
    v, u = (_CELL * (first + torch.arange(side, device=device)) for first in (top, left))
    patch = (width * v[:, None] + u).flatten()
    order = torch.rand(height * width, generator=generator, device=device).index_fill(0, patch, 2.0).argsort()
    chosen = torch.cat([patch, order[: max(0, min(count, height * width) - len(patch))]])
    return torch.stack([chosen % width, torch.div(chosen, width, rounding_mode="floor")], dim=-1)
