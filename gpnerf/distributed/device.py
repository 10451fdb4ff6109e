"""The device that this process computes on, and in one line why it is that."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from gpnerf.distributed.context import context, launched_by_slurm
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

# Set by srun where it gives every task GPUs of its own.
_GPUS_OF_TASK = ("SLURM_GPUS_PER_TASK", "SLURM_GPU_BIND")


def select_device(
    requested: str,
    expects_gpu: bool,
    environ: Mapping[str, str] = os.environ,
    usable: Callable[[], int] = lambda: torch.cuda.device_count() if torch.cuda.is_available() else 0,
    present: Callable[[], int] | None = None,
) -> torch.device:
    """The device for `requested` (auto, cpu or cuda); says in one line why `auto` ended on the CPU, where that matters.

    `expects_gpu`: the networks are of a size meant for GPUs. `usable` and `present` count the GPUs that PyTorch may
    use and that the machine has. Raises `UserError` when a GPU is wanted and there is none for this process.
    """
    if requested == "cpu":
        return torch.device("cpu")
    here, count = context(environ), usable()
    if count > here.local_rank:
        return torch.device("cuda", here.local_rank)
    if count and launched_by_slurm(environ) and any(environ.get(name) for name in _GPUS_OF_TASK):
        return torch.device("cuda", 0)  # every task sees its own GPUs only, counted from 0
    if count:
        raise UserError(
            f"process {here.local_rank} of this machine has no GPU: expected one for each, found {count} "
            f"({_setting(environ)}); start {count} per machine, or pass --device cpu"
        )
    existing = (present or count_gpus)()
    reason = _why_none(existing, environ)
    if requested == "cuda":
        raise UserError(f"--device cuda: expected a GPU, found none: {reason}")
    if here.is_main and (expects_gpu or existing):
        advice = "; these settings are meant for a GPU and will be very slow" if expects_gpu else ""
        logger.warning("computing on the CPU: %s%s", reason, advice)
    return torch.device("cpu")


def count_gpus(root: Path = Path("/")) -> int:
    """NVIDIA GPUs of this machine, told from the driver's files, which no environment variable hides."""
    devices = len(list(root.glob("dev/nvidia[0-9]*")))
    return devices or len(list(root.glob("proc/driver/nvidia/gpus/*")))


def _why_none(present: int, environ: Mapping[str, str]) -> str:
    if not present:
        return f"this machine has no GPU ({_setting(environ)})"
    gpus = "a GPU" if present == 1 else f"{present} GPUs"
    first = environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()  # CUDA stops reading at an invalid entry
    if first.startswith(("GPU-", "MIG-")) or (first.isdecimal() and int(first) < present):
        broken = f"PyTorch {torch.__version__} cannot use it: check the driver and that PyTorch was built for CUDA"
        return f"this machine has {gpus}, but {broken} ({_setting(environ)})"
    return f"this machine has {gpus}, but {_setting(environ)} hides it; unset the variable or set it to 0"


def _setting(environ: Mapping[str, str]) -> str:
    value = environ.get("CUDA_VISIBLE_DEVICES")
    return "CUDA_VISIBLE_DEVICES is not set" if value is None else f'CUDA_VISIBLE_DEVICES="{value}"'
