"""The parts of a measurement, one after the other, into one report."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from tqdm import tqdm

from gpnerf.benchmark import machine
from gpnerf.benchmark.limits import terms, works
from gpnerf.benchmark.memory import peaks
from gpnerf.benchmark.render import Renderer, agreement, composed_images, render_jobs
from gpnerf.benchmark.step import Step, step_jobs
from gpnerf.benchmark.timing import Result, measure, runs
from gpnerf.benchmark.workload import Network


def measure_parts(
    parts: Collection[str],
    plain: Renderer,
    fast: Renderer,
    steps: Mapping[str, Step],
    network: Network,
    needed: float,
    *,
    repeats: int,
    clock: str,
    whole_images: bool,
) -> tuple[dict[str, Any], dict[str, Result]]:
    """The report of the parts `render`, `step`, `memory` and `machine`, in plain values, and the results by job.

    `needed`: share of the sample-view pairs that no exact renderer can skip; `clock`: the one (`wall` or `cpu`) whose
    seconds images and shares are made of; `whole_images`: render entire images too.
    """
    device = fast.pixels.device
    rates = _rates(fast, network) if "machine" in parts else {}
    report: dict[str, Any] = {"agreement": agreement(plain, fast)} if "render" in parts else {}
    jobs = render_jobs(plain, fast, whole_images) if "render" in parts else []
    jobs += step_jobs(steps) if "step" in parts else []
    subjects: list[tuple[str, Renderer | Step]] = []
    if "memory" in parts:
        subjects = [("plain", plain), ("fast", fast), *steps.items()]
    with tqdm(total=runs(jobs, repeats) + len(subjects), unit="run", smoothing=0) as bar:

        def progress(name: str) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update()

        results = measure(jobs, repeats, device, progress)
        report["memory"] = peaks(subjects, device, progress)
    report["times"] = {name: result.to_dict() for name, result in results.items()}
    if "render" in parts:
        report["image"] = composed_images(results, clock, len(fast.pixels), fast.image_rays)
    if rates:
        # Measured before and after everything else: a machine is as fast as it has ever been.
        report["rates"] = rates = {name: max(rates[name], later) for name, later in _rates(fast, network).items()}
        report["terms"] = terms(network, needed)
        counted = works(network, fast, needed, results, clock)
        report["workload"] = {name: work.to_dict(rates) for name, work in counted.items()}
    return report, results


def _rates(fast: Renderer, network: Network) -> dict[str, float]:
    return machine.rates(fast.pixels.device, torch.bfloat16 if fast.bf16 else torch.float32, network.width)
