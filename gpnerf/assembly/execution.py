"""How a model computes on this machine, which changes time and memory only."""

import logging
import os

import torch

from gpnerf.config import Config
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.models.compilation import CompiledLayer
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.ops import kernels
from gpnerf.models.ops.torch_kernels import TORCH, Kernels
from gpnerf.training.graph import StepGraph, obstacle

_log = logging.getLogger(__name__)


def place(model: GPNeRF, config: Config, device: torch.device) -> GPNeRF:
    """Move the model to its device and give it the functions that compute there."""
    model.renderer.kernels = choose_kernels(config.render.kernels, device)
    if config.render.compile:
        model.renderer.layer = CompiledLayer()
    return model.to(device)


def choose_kernels(name: str, device: torch.device) -> Kernels:
    """The set of functions called torch or triton. Raises `UserError` where the machine cannot run the latter."""
    if name == "torch":
        return TORCH
    if not kernels.triton_found():
        raise UserError("--kernels triton: Triton is not installed; install the package triton, or leave the flag out")
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise UserError(f"--kernels triton: expected a CUDA device, found {device.type}; leave the flag out")
    # Triton is imported only where it is wanted: it takes seconds, and not every machine has it.
    from gpnerf.models.ops.triton_kernels import TRITON

    return TRITON


def step_graph(config: Config, context: Context, device: torch.device) -> StepGraph | None:
    """What replays training steps, if that is wanted and possible; if it is not, one line says why."""
    if not config.optim.cuda_graph:
        return None
    optim, recompute = config.optim, config.render.recompute
    if problem := obstacle(device, context.world_size, optim.accumulate_steps, recompute):
        _log.warning("--cuda_graph: going on without: %s", problem)
        return None
    return StepGraph(device)
