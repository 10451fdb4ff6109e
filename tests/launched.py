"""Starts the scripts as users and launchers do, in processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tiny_runs import REPOSITORY

# Other tests may be using the machine.
PATIENCE = 240
TORCHRUN = ("torch.distributed.run", "--standalone")


def start(processes: int, script: str, arguments: list[str], log: Path, launcher: tuple[str, ...]) -> subprocess.Popen:
    """A script (in the repository) under a launcher, its output in a file; no launcher for a process alone."""
    launch = ["-m", *launcher, f"--nproc_per_node={processes}"] if launcher else []
    # Nothing is downloaded: neither found on this machine nor reachable.
    environ = os.environ | {"TORCH_HOME": str(log.parent / "torch"), "https_proxy": "http://127.0.0.1:9"}
    environ["PYTHONPATH"] = str(REPOSITORY)
    with log.open("w") as file:
        command = [sys.executable, *launch, script, *arguments]
        return subprocess.Popen(command, cwd=REPOSITORY, env=environ, stdout=file, stderr=file)


def launch(
    processes: int, script: str, arguments: list[str], log: Path, launcher: tuple[str, ...] = TORCHRUN
) -> tuple[int, str]:
    """Run a script to its end; its exit code and what it printed."""
    process = start(processes, script, arguments, log, launcher)
    try:
        return process.wait(PATIENCE), log.read_text()
    finally:
        process.kill()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen, log: Path) -> None:
    """Wait until a condition holds while a process runs."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.05)


def lines(path: Path) -> int:
    """Lines of a file, 0 if there is none yet."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
