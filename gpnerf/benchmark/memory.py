"""Peak memory of a piece of work, over what was there before it."""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from gpnerf.benchmark.render import WITH, WITHOUT, Renderer
from gpnerf.benchmark.step import Step


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """The most bytes of tensors that were alive at once during `run`, beyond those alive at its start."""
    return _cuda_peak(run, device) if device.type == "cuda" else _cpu_peak(run)


def peaks(
    subjects: Sequence[tuple[str, Renderer | Step]], device: torch.device, progress: Callable[[str], object]
) -> dict[str, int]:
    """Peak bytes of rendering the rays and of a training step, for every variant."""
    found = {}
    for name, subject in subjects:
        if isinstance(subject, Step):
            subject.prepare()
            found[f"step, {name}"] = peak_bytes(subject.run, device)
        else:
            for semantics, words in ((True, WITH), (False, WITHOUT)):
                found[f"rays {words}, {name}"] = peak_bytes(partial(subject.rays, semantics), device)
        progress(f"memory, {name}")
    return found


def _cuda_peak(run: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _cpu_peak(run: Callable[[], object]) -> int:
    # Every allocation and release of PyTorch's allocator, summed up in order. This repeats to the byte. The growth of
    # the process's resident memory, the other way, depends on what the C library keeps of earlier work and needs a
    # fresh process for every number; it would add the scratch buffers of the matrix libraries, which are small.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would fill the terminal
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]" and event["args"]["Device Type"] == 0]
    changes.sort(key=lambda event: (event["ts"], event["args"]["Ev Idx"]))
    return max(accumulate((event["args"]["Bytes"] for event in changes), initial=0))
