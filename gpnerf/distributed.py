"""Which process of how many this is, what they agree on, and the device it computes on."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

# Each launcher's names of rank, number of processes and rank on this machine. A SLURM job that only holds an
# allocation has no SLURM_STEP_NUM_TASKS, so a program started there by hand runs alone.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
)


@dataclass(frozen=True)
class Context:
    """This process among `world_size` ones; the default is a process alone, which needs no set-up."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.world_size > 1:
            dist.barrier()

    def gather(self, part: Any) -> list[Any]:
        """The parts of all processes, by rank, in every process; a part is any value that can be pickled."""
        if self.world_size == 1:
            return [part]
        parts: list[Any] = [None] * self.world_size
        dist.all_gather_object(parts, part)
        return parts

    def all_finite(self, finite: bool, device: torch.device) -> bool:
        """Whether `finite` holds in every process."""
        if self.world_size == 1:
            return finite
        verdict = torch.tensor(int(finite), device=device)
        dist.all_reduce(verdict, op=dist.ReduceOp.MIN)
        return bool(verdict.item())

    def shutdown(self) -> None:
        """Leave the group of processes."""
        if self.world_size > 1:
            dist.destroy_process_group()


def context(environ: Mapping[str, str] = os.environ) -> Context:
    """What the launcher (torchrun, torch.distributed.launch or SLURM's srun) says about this process."""
    for names in _LAUNCHERS:
        if all(name in environ for name in names):
            return Context(*(_number(name, environ[name]) for name in names))
    return Context()


def init(device: torch.device, dist_url: str = "env://", environ: Mapping[str, str] = os.environ) -> Context:
    """Join the other processes, over NCCL on GPUs and Gloo on CPUs; a process alone joins nothing.

    Raises `UserError` when the launcher did not say where the processes meet.
    """
    here = context(environ)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not here.is_main:
        logging.getLogger().setLevel(logging.WARNING)  # one process tells the story
    if here.world_size > 1:
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=_meeting_point(dist_url, environ),
            rank=here.rank,
            world_size=here.world_size,
            timeout=timedelta(minutes=30),  # a rank that evaluates long must not end the others
        )
    return here


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


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise UserError(f"environment variable {name}: expected a whole number, found {text!r}")
    return int(text)


def _meeting_point(dist_url: str, environ: Mapping[str, str]) -> str:
    """`dist_url`, or for srun, which names no meeting point, the first machine."""
    if dist_url != "env://" or "MASTER_PORT" in environ:
        return dist_url
    address = environ.get("MASTER_ADDR")
    if address is None and environ.get("SLURM_STEP_NUM_NODES") == "1":
        address = "127.0.0.1"
    if address is None:
        raise UserError(
            "MASTER_ADDR is not set: expected the first machine's name; "
            "run export MASTER_ADDR=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1) before srun"
        )
    # Two jobs on one machine must not meet each other.
    return f"tcp://{address}:{20000 + _number('SLURM_JOB_ID', environ.get('SLURM_JOB_ID', '0')) % 20000}"
