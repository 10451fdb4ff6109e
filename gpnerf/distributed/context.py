"""The processes of a run: who is who, where they meet, what they agree on."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from gpnerf.distributed.heartbeat import Heartbeat
from gpnerf.errors import UserError, ended_at_once

T = TypeVar("T")

# Each launcher's names of rank, number of processes and rank on this machine. A SLURM job that only holds an
# allocation has no SLURM_STEP_NUM_TASKS, so a program started there by hand runs alone.
_ELASTIC = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")

# The machines of a job may start minutes apart.
_MEETING = timedelta(minutes=15)
# A process that renders the last view of a long evaluation must not end the others; a dead one is noticed by its
# heartbeat long before.
_COLLECTIVE = timedelta(hours=2)


@dataclass(frozen=True)
class Context:
    """This process among `world_size` ones; the default is a process alone, which needs no set-up."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    heartbeat: Heartbeat | None = field(default=None, compare=False)

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

    def by_first(self, action: Callable[[], T]) -> T:
        """What a call in the first process gives, in every process; so is its `UserError` raised in every process."""
        given: tuple[T | None, str] = None, ""
        if self.is_main:
            try:
                given = action(), ""
            except UserError as error:
                given = None, str(error)
        result, problem = self.gather(given)[0]
        if problem:
            raise UserError(problem)
        return result

    def everywhere(self, device: torch.device, *holds: bool) -> list[bool]:
        """Whether each of several things holds in every process, in one exchange."""
        if self.world_size == 1:
            return list(holds)
        verdict = torch.tensor(holds, dtype=torch.int32, device=device)
        dist.all_reduce(verdict, op=dist.ReduceOp.MIN)
        return [bool(value) for value in verdict.tolist()]

    def shutdown(self) -> None:
        """Leave the group of processes, all together."""
        if self.world_size > 1:
            if self.heartbeat is not None:
                self.heartbeat.stop()  # before the others may be gone
            dist.barrier()
            dist.destroy_process_group()


def context(environ: Mapping[str, str] = os.environ) -> Context:
    """What the launcher (torchrun, torch.distributed.launch or SLURM's srun) says about this process."""
    for names in (_ELASTIC, _SLURM):
        if all(name in environ for name in names):
            rank, world_size, local_rank = (_number(name, environ[name]) for name in names)
            return Context(rank, world_size, local_rank)
    return Context()


def launched_by_slurm(environ: Mapping[str, str]) -> bool:
    """Whether srun itself started this process and not a launcher that it started."""
    return all(name in environ for name in _SLURM) and not all(name in environ for name in _ELASTIC)


def init(device: torch.device, dist_url: str = "env://", environ: Mapping[str, str] = os.environ) -> Context:
    """Join the other processes, over NCCL on GPUs and Gloo on CPUs; a process alone joins nothing.

    Raises `UserError` when the launcher did not say where the processes meet.
    """
    here = context(environ)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not here.is_main:
        logging.getLogger().setLevel(logging.WARNING)  # one process tells the story
    if here.world_size == 1:
        return here
    place = _meeting_point(dist_url, environ)
    backend = "nccl" if device.type == "cuda" else "gloo"
    with ended_at_once():  # nothing is there to be saved yet
        store, rank, size = next(rendezvous(place, here.rank, here.world_size, timeout=_MEETING))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_COLLECTIVE)
    heartbeat = Heartbeat(dist.PrefixStore("heartbeat", store.clone()), rank, size)
    heartbeat.start()
    return replace(here, heartbeat=heartbeat)


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
