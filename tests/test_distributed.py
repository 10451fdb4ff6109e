"""Ranks from the launchers' variables, agreement of real processes, and the choice of the device."""

import logging
import os
import socket
import subprocess
import sys
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pytest
import torch

from gpnerf.data.dataset import KeyedExamples, MixedExamples
from gpnerf.data.loaders import EndlessSampler
from gpnerf.distributed import Context, context, count_gpus, init, select_device
from gpnerf.errors import UserError
from gpnerf.structures import FrameFailure

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
SLURM = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1", "SLURM_NTASKS": "8"}
TORCHRUN = {"RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "2"}

WORKER = """
import torch
from gpnerf.distributed import init
here = init(torch.device("cpu"))
same = here.everywhere(torch.device("cpu"), True, here.rank != 1, here.rank == 7)
here.barrier()
print(here.rank, here.world_size, here.is_main, *same)
here.shutdown()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Context(0, 1, 0)),
        (TORCHRUN, Context(5, 6, 2)),
        (SLURM, Context(3, 8, 1)),
        (SLURM | TORCHRUN, Context(5, 6, 2)),  # torchrun started by srun
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}, Context(0, 1, 0)),  # an allocation's shell
    ],
)
def test_ranks_of_each_launcher(environ: dict[str, str], expected: Context) -> None:
    assert context(environ) == expected


def test_unreadable_rank_is_named() -> None:
    with pytest.raises(UserError, match="WORLD_SIZE: expected a whole number, found 'two'"):
        context(TORCHRUN | {"WORLD_SIZE": "two"})


def test_srun_over_machines_needs_a_meeting_point() -> None:
    with pytest.raises(UserError, match="MASTER_ADDR"):
        init(CPU, environ=SLURM | {"SLURM_STEP_NUM_NODES": "2"})


def test_process_alone_joins_nothing() -> None:
    alone = init(CPU, environ={})
    assert alone.is_main
    assert alone.everywhere(CPU, True, False) == [True, False]
    alone.barrier()
    alone.shutdown()
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["environment", "slurm"])
def test_two_processes_agree(launcher: str) -> None:
    port, processes = free_port(), []
    for rank in range(2):
        if launcher == "slurm":
            names = {"SLURM_PROCID": rank, "SLURM_STEP_NUM_TASKS": 2, "SLURM_LOCALID": rank, "SLURM_STEP_NUM_NODES": 1}
            names["SLURM_JOB_ID"] = port
        else:
            names = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank}
            names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environ = os.environ | {name: str(value) for name, value in names.items()} | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", WORKER]
        processes.append(subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert answers == [
        ["0", "2", "True", "True", "False", "False"],
        ["1", "2", "False", "True", "False", "False"],
    ]


class _Numbers(KeyedExamples):
    """Examples that are nothing but the name of their set and their number."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(seed=0)
        self.name, self.count = name, count

    def __len__(self) -> int:
        return self.count

    def draw(self, index: int, rng: np.random.Generator) -> FrameFailure:
        return FrameFailure(self.name, index, "")

    @property
    def depth_range(self) -> tuple[float, float]:
        return 0.1, 10.0


@pytest.mark.parametrize("world", [2, 3])
def test_no_two_ranks_see_the_same_targets_and_mixtures_keep_their_weights(world: int) -> None:
    count = 900
    seen = []
    for rank in range(world):
        mixed = MixedExamples([_Numbers("small", 40), _Numbers("large", 400)], [3.0, 1.0])
        keys = islice(EndlessSampler(len(mixed), mixed.seed, rank, world, 0), count)
        seen.append([(item.scene, item.frame) for item in (mixed[key] for key in keys)])
        assert sum(scene == "small" for scene, _ in seen[rank]) / count == pytest.approx(0.75, abs=0.05)
    for one, other in combinations(seen, 2):
        same = sum(a == b for a, b in zip(one, other, strict=True)) / count
        assert same == pytest.approx(0.75**2 / 40 + 0.25**2 / 400, abs=0.02)  # by chance
        assert set(one[:60]) != set(other[:60])


def select(
    requested: str, environ: dict[str, str], usable: int, present: int, expects_gpu: bool = True
) -> torch.device:
    return select_device(requested, expects_gpu, environ, usable=lambda: usable, present=lambda: present)


def test_gpu_is_taken_quietly(caplog: pytest.LogCaptureFixture) -> None:
    assert select("auto", {}, 1, 1) == torch.device("cuda", 0)
    assert select("cuda", TORCHRUN, 8, 8) == torch.device("cuda", 2)
    assert select("cpu", {}, 8, 8) == CPU
    assert not caplog.records


@pytest.mark.parametrize(
    ("environ", "present", "expects_gpu", "words"),
    [
        ({"CUDA_VISIBLE_DEVICES": "2"}, 1, True, ["a GPU", 'CUDA_VISIBLE_DEVICES="2" hides it', "very slow"]),
        ({"CUDA_VISIBLE_DEVICES": "2"}, 1, False, ["a GPU", 'CUDA_VISIBLE_DEVICES="2" hides it']),
        ({"CUDA_VISIBLE_DEVICES": ""}, 4, False, ["4 GPUs", 'CUDA_VISIBLE_DEVICES="" hides it']),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, 1, True, ['CUDA_VISIBLE_DEVICES="-1" hides it']),
        ({"CUDA_VISIBLE_DEVICES": "0,2"}, 1, True, ["cannot use it", 'CUDA_VISIBLE_DEVICES="0,2"']),
        ({}, 1, False, ["cannot use it", torch.__version__, "CUDA_VISIBLE_DEVICES is not set"]),
        ({}, 0, True, ["no GPU", "CUDA_VISIBLE_DEVICES is not set", "very slow"]),
        ({"CUDA_VISIBLE_DEVICES": "2"}, 0, True, ["no GPU", 'CUDA_VISIBLE_DEVICES="2"', "very slow"]),
    ],
)
def test_auto_that_ends_on_the_cpu_says_why(
    environ: dict[str, str], present: int, expects_gpu: bool, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert select("auto", environ, 0, present, expects_gpu) == CPU
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "\n" not in caplog.messages[0]
    assert not [word for word in words if word not in caplog.messages[0]]
    assert ("very slow" in caplog.messages[0]) == expects_gpu


def test_cpu_is_taken_quietly_where_it_is_expected(caplog: pytest.LogCaptureFixture) -> None:
    assert select("auto", {}, 0, 0, expects_gpu=False) == CPU
    assert select("auto", TORCHRUN, 0, 0) == CPU  # the first process says it for all
    assert not caplog.records


@pytest.mark.parametrize(("environ", "present"), [({}, 0), ({"CUDA_VISIBLE_DEVICES": "2"}, 1), ({}, 1)])
def test_cuda_without_a_gpu_is_an_error(environ: dict[str, str], present: int) -> None:
    with pytest.raises(UserError, match=r"--device cuda: expected a GPU, found none.*CUDA_VISIBLE_DEVICES"):
        select("cuda", environ, 0, present)


@pytest.mark.parametrize("name", ["SLURM_GPUS_PER_TASK", "SLURM_GPU_BIND"])
def test_a_slurm_task_with_a_gpu_of_its_own_takes_it(name: str) -> None:
    assert select("auto", SLURM | {name: "1"}, 1, 8) == torch.device("cuda", 0)
    assert select("auto", SLURM | {name: "1"}, 8, 8) == torch.device("cuda", 1)  # where they are not bound
    with pytest.raises(UserError, match="has no GPU"):
        select("auto", SLURM | TORCHRUN | {name: "1"}, 1, 8)  # torchrun's processes share what srun gave it
    with pytest.raises(UserError, match="has no GPU"):
        select("auto", SLURM, 1, 8)


@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_more_processes_than_gpus_is_an_error(requested: str) -> None:
    with pytest.raises(UserError, match=r"process 2 of this machine has no GPU.*found 2"):
        select(requested, TORCHRUN, 2, 2)


def test_gpus_are_counted_from_the_drivers_files(tmp_path: Path) -> None:
    assert count_gpus(tmp_path) == 0
    cards = tmp_path / "proc/driver/nvidia/gpus"
    for name in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (cards / name).mkdir(parents=True)
    assert count_gpus(tmp_path) == 3
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-modeset"):
        (tmp_path / "dev" / name).touch()  # a container sees only its own
    assert count_gpus(tmp_path) == 2
