"""Training runs from a config."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from gpnerf import distributed
from gpnerf.assembly.data import example_stream, training_examples
from gpnerf.assembly.execution import place, step_graph
from gpnerf.assembly.instances import describe_model
from gpnerf.assembly.model import Architecture, build_optimizer, class_count
from gpnerf.assembly.run_folder import checkpoint_to_continue, claim, owned, run_folder, write_config
from gpnerf.assembly.starting import continue_run, freeze_untrained, origins, start_run
from gpnerf.assembly.validation import Validation, build_validation, validation_folder
from gpnerf.checkpoint import checkpoint_path, prune_checkpoints, save_checkpoint
from gpnerf.config import Config
from gpnerf.data.dataset import KeyedExamples
from gpnerf.data.instances import InstanceMap
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.ownership import Ownership
from gpnerf.tracking import Tracker, hold_log, write_log
from gpnerf.training import LossWeights, Objective, Schedule, StepSettings, TrainingState, fit
from gpnerf.training.graph import StepGraph
from gpnerf.visualize.png import read_picture

_log = logging.getLogger(__name__)

_FINETUNING_DEPTH_WEIGHT = 0.25


# Before the names of what a validation logs.
_VALIDATION = "validation/"


@dataclass(frozen=True)
class TrainingRun:
    """Everything a training needs; `run` trains to the last step.

    `description` is what a checkpoint holds beside the state: what the model is and what it was started from. As long
    as the run lives no other program writes to its folder.
    """

    config: Config
    folder: Path
    state: TrainingState
    examples: KeyedExamples
    objective: Objective
    validation: Validation
    description: Mapping[str, Any]
    finetuning: bool
    context: Context
    device: torch.device
    ownership: Ownership | None = None

    def run(self) -> None:
        optim, state = self.config.optim, self.state
        schedule = Schedule(optim.total_step, optim.i_print, optim.save_interval, optim.accumulate_steps)
        write_log(self.folder)
        world = f"{self.context.world_size} process{'es' if self.context.world_size > 1 else ''}"
        _log.info("%s: step %d of %d, %s, %s", self.folder, state.step, optim.total_step, world, self.device)
        with Tracker(self.folder, self.context.is_main, state.step) as tracker:
            validated = self.context.by_first(lambda: tracker.has(state.step, _VALIDATION))
            if state.step and schedule.saves(state.step) and not validated:
                self._validate(tracker)  # it was stopped between checkpoint and validation
            fit(
                state,
                lambda start: example_stream(self.config, self.examples, self.context, start),
                self.objective,
                step_settings(self.config),
                schedule,
                tracker,
                self.context,
                self.device,
                save=lambda: self._save(tracker),
                validate=lambda: self._validate(tracker),
            )

    def class_counts(self) -> Tensor:
        """Label pixels of each class that all processes have seen in training; all of them must ask."""
        return sum(self.context.gather(self.state.class_counts), torch.zeros_like(self.state.class_counts))

    def _save(self, tracker: Tracker) -> None:
        optim, step = self.config.optim, self.state.step
        content = {**self.state.content(self.context), **self.description}
        tracker.flush()  # what a run is continued from has all of its curves

        def write() -> None:
            save_checkpoint(checkpoint_path(self.folder, step), content)
            prune_checkpoints(self.folder, step, optim.save_interval, optim.keep_checkpoints)

        self.context.by_first(write)  # no process goes on when the first one cannot

    def _validate(self, tracker: Tracker) -> None:
        step = self.state.step
        if self.finetuning and step == self.config.optim.total_step:
            return  # the finished scene is evaluated anyway
        results = self.validation(self.state, self.class_counts())
        scores = {f"{_VALIDATION}{name}": value for name, value in results["overall"].items() if value is not None}
        if self.context.is_main:
            for scene, part in results["scenes"].items():
                panel = validation_folder(self.folder, step) / scene / f"panel_{next(iter(part['images']))}.png"
                tracker.image(step, f"{_VALIDATION}{scene}", read_picture(panel))
        tracker.scalars(step, scores)  # last: they say that the validation is done
        _log.info("validation at step %d: %s", step, ", ".join(f"{k[11:]} {v:.4f}" for k, v in scores.items()))


def build_training(config: Config) -> TrainingRun:
    """A generalised training run that starts or continues in `out/<expname>`."""
    if config.run.task != "semantic":
        raise UserError(
            f"--task {config.run.task}: instances are learnt scene by scene; run ft_gpnerf.py with general weights"
        )
    context, device = join(config)
    examples, class_names = training_examples(config)
    return assemble_training(config, run_folder(config), examples, class_names, context, device)


def join(config: Config) -> tuple[Context, torch.device]:
    """This process among those of a training, and its device; the first one's log is kept from here on."""
    if distributed.context().is_main:
        hold_log()
    device = distributed.select_device(config.run.device, config.expects_gpu)
    return distributed.init(device, config.run.dist_url), device


def assemble_training(
    config: Config,
    folder: Path,
    examples: KeyedExamples,
    class_names: tuple[str, ...],
    context: Context,
    device: torch.device,
    finetune_on: str | None = None,
    start_digest: str | None = None,
    instances: InstanceMap | None = None,
) -> TrainingRun:
    """A training run on given examples; continues from the folder's newest checkpoint if it has one.

    Fine-tuning names its scene, the one to validate on, the SHA-256 of its starting weights, and `instances` to learn.
    """
    architecture = Architecture.of(config, class_count(config, class_names), len(instances.ids) if instances else 0)
    objective = build_objective(config, len(class_names), finetuning=finetune_on is not None)
    torch.manual_seed(config.run.seed)
    model = place(architecture.build(), config, device)
    freeze_untrained(model, objective.weights)
    network = _wrapped(model, context, device)
    state = _fresh_state(config, model, network, len(class_names), step_graph(config, context, device))
    started_from = origins(examples, start_digest)
    with owned(folder, context):
        _start_or_continue(config, folder, state, architecture, started_from, context)
        ownership = claim(folder, context)
    return TrainingRun(
        config=config,
        folder=folder,
        state=state,
        examples=examples,
        objective=objective,
        validation=build_validation(config, folder, [finetune_on] if finetune_on else [], context, device),
        description=describe_model(config, architecture, class_names, examples, finetune_on, instances) | started_from,
        finetuning=finetune_on is not None,
        context=context,
        device=device,
        ownership=ownership,
    )


def build_objective(config: Config, ignore: int, finetuning: bool) -> Objective:
    """The training loss of a config."""
    loss = config.loss
    depth = loss.depth_loss_scale
    if depth is None:
        depth = _FINETUNING_DEPTH_WEIGHT if finetuning else 0.0
    task = config.run.task
    weights = LossWeights(
        colour=loss.render_loss_scale,
        semantic=0.0 if task == "instance" else loss.semantic_loss_scale,
        distillation=loss.distill_loss_scale,
        depth=depth,
        instance=0.0 if task == "semantic" else loss.instance_loss_scale,
        depth_guided=loss.depth_guided_loss_scale,
        photometric=loss.photometric_loss_scale,
    )
    compat, assignment = config.run.compat, loss.instance_assignment
    return Objective(weights, ignore, loss.n_p, loss.depth_guided_negative, compat, assignment)


def step_settings(config: Config) -> StepSettings:
    """How a training step of a config samples and updates."""
    optim = config.optim
    return StepSettings(
        rays=optim.N_rand,
        sample_mode=optim.sample_mode,
        center_ratio=optim.center_ratio,
        jitter=not config.render.det,
        clip_grad_norm=optim.clip_grad_norm,
        amp=config.render.amp,
        seed=config.run.seed,
    )


def _start_or_continue(
    config: Config,
    folder: Path,
    state: TrainingState,
    architecture: Architecture,
    started_from: Mapping[str, str],
    context: Context,
) -> None:
    if newest := checkpoint_to_continue(config, folder, context):
        continue_run(state, newest, started_from, context)
    else:
        start_run(config, state, architecture)
    write_config(config, folder, context)


def _fresh_state(
    config: Config, model: GPNeRF, network: nn.Module, classes: int, graph: StepGraph | None
) -> TrainingState:
    optimizer = build_optimizer(model, config)
    scheduler = StepLR(optimizer, config.optim.lrate_decay_steps, config.optim.lrate_decay_factor)
    return TrainingState(model, network, optimizer, scheduler, torch.zeros(classes, dtype=torch.int64), graph=graph)


def _wrapped(model: nn.Module, context: Context, device: torch.device) -> nn.Module:
    if context.world_size == 1:
        return model
    devices = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=devices)
