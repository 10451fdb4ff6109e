"""What this machine can do: measured matrix and copy rates, and its names."""

import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gpnerf.benchmark.timing import lap

_SECONDS = 0.5  # of attempts at every rate
_CPU_SIDE, _CUDA_SIDE = 1024, 8192
_CPU_ROWS, _CUDA_ROWS = 2**15, 2**22
_CPU_COPY, _CUDA_COPY = 2**28, 2**31  # bytes, far beyond the caches


def rates(device: torch.device, dtype: torch.dtype, width: int) -> dict[str, float]:
    """Multiply-adds a second of a large square product and of a tall one, and bytes a second of a copy.

    The tall product is the networks': very many rows of `width` numbers by a square matrix of this width; small
    enough on a CPU to be read from the caches, as good code would. A copy counts what it reads and what it writes.
    The best of several attempts, with the threads that PyTorch has.
    """
    cuda = device.type == "cuda"
    side, rows, size = (_CUDA_SIDE, _CUDA_ROWS, _CUDA_COPY) if cuda else (_CPU_SIDE, _CPU_ROWS, _CPU_COPY)
    left, right, product = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(3))
    tall, square = (torch.ones(n, width, device=device, dtype=dtype) for n in (rows, width))
    tall_product = torch.empty_like(tall)
    source = torch.ones(size // dtype.itemsize, device=device, dtype=dtype)
    target = torch.empty_like(source)
    return {
        "square_multiply_adds": side**3 / _best(lambda: torch.mm(left, right, out=product), device),
        "tall_multiply_adds": rows * width**2 / _best(lambda: torch.mm(tall, square, out=tall_product), device),
        "copy_bytes": 2 * size / _best(lambda: target.copy_(source), device),
    }


def description(device: torch.device) -> dict[str, Any]:
    """Names and versions that a measurement belongs to."""
    return {
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def commit(folder: Path) -> str | None:
    """The commit of the checkout at `folder`, with "+" if files have changed since; None outside a checkout."""
    git = ["git", "-C", str(folder)]
    try:
        head, changed = (
            subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _best(run: Callable[[], object], device: torch.device) -> float:
    """The least seconds of many attempts; the first only warms up."""
    run()
    seconds: list[float] = []
    started = time.perf_counter()
    while time.perf_counter() - started < _SECONDS:
        wall, cpu = lap(run, device)
        # Other work on the machine must not count as its limit.
        seconds.append(cpu if device.type == "cpu" and torch.get_num_threads() == 1 else wall)
    return min(seconds)


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
