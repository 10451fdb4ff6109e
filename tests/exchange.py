"""Training steps on given targets, shared out over the processes of a group; also the script of one such process."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from tiny_runs import flags, training

import gpnerf.assembly.finetuning as finetuning
import gpnerf.assembly.training as assembly
from gpnerf.assembly import build_finetuning
from gpnerf.assembly.training import TrainingRun, join, step_settings
from gpnerf.config import parse
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.structures import Example
from gpnerf.tracking import Tracker
from gpnerf.training import Schedule, fit, train_step

STEPS = 3
TASKS = ("semantic", "instance", "panoptic")
# Without a fine pass: drawing its samples jumps where parameters differ by a rounding.
COARSE = ("--N_importance", 0)
# Name -> (targets of a step for each process, flags, optimiser). The second target never has labels. Adam would turn
# the rounding noise of zero gradients into full steps wherever sums are rounded differently.
CASES: dict[str, tuple[int, tuple[object, ...], str]] = {
    "adam": (1, (), "adam"),
    "sgd": (1, COARSE, "sgd"),
    "accumulated": (2, COARSE, "sgd"),
    "label rendering": (1, ("--semantic_model", "fc", *COARSE), "sgd"),
    "colour alone": (1, ("--semantic_loss_scale", 0, "--distill_loss_scale", 0, *COARSE), "sgd"),
    "neither insertion nor distillation": (1, ("--feature_fusion", "none", "--distill_loss_scale", 0, *COARSE), "sgd"),
    "one network, reference learns": (2, ("--single_net", "--detach_reference", "False", *COARSE), "sgd"),
}


def unlabelled(example: Example) -> Example:
    return replace(example, target=replace(example.target, labels=None))


def spoiled(example: Example) -> Example:
    return replace(example, sources=replace(example.sources, images=torch.full_like(example.sources.images, torch.nan)))


def prepared(root: Path, name: str, world: int, more: tuple[object, ...]) -> TrainingRun:
    """A run with everything that is random: choice of sources and pixels, jitter and dropout."""
    return training(root, "--expname", f"{name} {world}".replace(" ", "_"), *more)


def steps(root: Path, name: str, processes: int, context: Context) -> dict[str, Any]:
    """Gradients of the first of `STEPS` steps and the parameters after the last.

    The targets are those of `processes` processes, whatever their number in `context`.
    """
    count, more, optimiser = CASES[name]
    count *= processes
    run = prepared(root, name, context.world_size, more)
    if optimiser == "sgd":
        run.state.optimizer = torch.optim.SGD(run.state.model.parameters(), lr=1e-3)
        run.state.scheduler = torch.optim.lr_scheduler.StepLR(run.state.optimizer, 1000)
    examples = [run.examples[(0, index)] for index in range(count)]
    examples[1] = unlabelled(examples[1])
    gradients = {}
    for _ in range(STEPS):
        mine = examples[context.rank :: context.world_size]
        report = train_step(run.state, mine, run.objective, step_settings(run.config), context, run.device)
        assert report.finite
        run.state.step += 1
        found = {name: p.grad.clone() for name, p in run.state.model.named_parameters() if p.grad is not None}
        gradients = gradients or found
        examples = examples[1:] + examples[:1]
    return {"gradients": gradients, "parameters": run.state.model.state_dict()}


def of_task(root: Path, task: str, context: Context) -> TrainingRun:
    """A training for a task: on many scenes, or on one scene from the weights of such a training."""
    general = prepared(root, f"spoiled_{task}", context.world_size, ())
    if task == "semantic":
        return general
    general._save(Tracker(general.folder, enabled=False))
    start = general.folder / "model_000000.pth"
    more = ("--task", task, "--expname", f"{task}_{context.world_size}", "--ckpt_path", start)
    tuning = build_finetuning(parse(flags(root, *more)))
    return tuning.assemble(tuning.scenes[0])


def refusal(root: Path, task: str, context: Context) -> list[str]:
    """What each process says when the last one's targets are spoiled for ever, after one good step."""
    run = of_task(root, task, context)
    good = run.examples[(0, 0)]

    def stream(start: int) -> Iterator[Example]:
        yield good
        yield from repeat(spoiled(good) if context.rank + 1 == context.world_size else good)

    schedule = Schedule(total=9, log_every=1, save_every=1, accumulate=1)
    tracker = Tracker(run.folder, context.is_main)
    arguments = (run.state, stream, run.objective, step_settings(run.config), schedule, tracker, context, run.device)
    before = {}

    def save() -> None:
        before[run.state.step] = [p.detach().clone() for p in run.state.model.parameters()]

    try:
        fit(*arguments, save=save, validate=lambda: None)
        message = "went on"
    except UserError as error:
        message = str(error)
    kept = all(torch.equal(p, q) for p, q in zip(before[1], run.state.model.parameters(), strict=True))
    return context.gather(f"step {run.state.step}, kept {kept}: {message}")


def locked_out(root: Path, context: Context) -> list[str]:
    """What each process says when another program owns the run's folder."""
    try:
        training(root, "--expname", "taken")
        message = "went on"
    except UserError as error:
        message = str(error)
    return context.gather(message)


def main(root: Path, written: Path) -> None:
    """One process of the group."""
    torch.set_num_threads(1)
    here = join(parse(flags(root)))
    assembly.join = finetuning.join = lambda config: here  # the group is joined once
    context = here[0]
    result: dict[str, Any] = {name: steps(root, name, context.world_size, context) for name in CASES}
    result["refusals"] = {task: refusal(root, task, context) for task in TASKS}
    result["locked out"] = locked_out(root, context)
    if context.is_main:
        torch.save(result, written)
    context.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
