"""Training runs from a config."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from gpnerf import distributed
from gpnerf.assembly.data import data_source, example_stream, scene_names, training_examples
from gpnerf.assembly.evaluation import EvaluationRun, describe_checkpoint, evaluation_settings
from gpnerf.assembly.model import Architecture, build_optimizer, class_count
from gpnerf.assembly.run_folder import checkpoint_to_continue, run_folder, write_config
from gpnerf.checkpoint import checkpoint_path, is_released, load_checkpoint, load_weights, save_checkpoint
from gpnerf.config import Config
from gpnerf.data.dataset import KeyedExamples
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.tracking import Tracker
from gpnerf.training import LossWeights, Objective, Schedule, StepSettings, TrainingState, fit
from gpnerf.visualize.png import read_picture

_log = logging.getLogger(__name__)

# Below this rate the transformer barely moves from its random start.
_SLOW_TRANSFORMER_RATE = 1e-4
_FINETUNING_DEPTH_WEIGHT = 0.25


@dataclass(frozen=True)
class TrainingRun:
    """Everything a training needs; `run` trains to the last step."""

    config: Config
    folder: Path
    state: TrainingState
    architecture: Architecture
    examples: KeyedExamples
    class_names: tuple[str, ...]
    objective: Objective
    validation: Callable[[TrainingState, Path], dict[str, Any]]
    finetuning: bool
    context: Context
    device: torch.device

    def run(self) -> None:
        config, state = self.config, self.state
        stream = example_stream(config, self.examples, self.context, state.consumed)
        schedule = Schedule(
            config.optim.total_step, config.optim.i_print, config.optim.save_interval, config.optim.accumulate_steps
        )
        with Tracker(self.folder, self.context.is_main, state.step) as tracker:
            fit(
                state,
                stream,
                self.objective,
                step_settings(config),
                schedule,
                tracker,
                self.context,
                self.device,
                save=self._save,
                validate=lambda: self._validate(tracker),
            )

    def _save(self) -> None:
        counts = sum(self.context.gather(self.state.class_counts))
        if self.context.is_main:
            extra = {
                "class_counts": counts,
                "architecture": self.architecture.to_dict(),
                "class_names": list(self.class_names),
                "depth_range": self.examples.depth_range,
            }
            save_checkpoint(checkpoint_path(self.folder, self.state.step), {**self.state.content(), **extra})
        self.context.barrier()

    def _validate(self, tracker: Tracker) -> None:
        step = self.state.step
        if self.finetuning and step == self.config.optim.total_step:
            return  # the finished scene is evaluated anyway
        results = self.validation(self.state, checkpoint_path(self.folder, step))
        scores = {f"validation/{name}": value for name, value in results["overall"].items() if value is not None}
        tracker.scalars(step, scores)
        if self.context.is_main:
            for scene, part in results["scenes"].items():
                panel = validation_folder(self.folder, step) / scene / f"panel_{next(iter(part['images']))}.png"
                tracker.image(step, f"validation/{scene}", read_picture(panel))
        _log.info("validation at step %d: %s", step, ", ".join(f"{k[11:]} {v:.4f}" for k, v in scores.items()))


def build_training(config: Config) -> TrainingRun:
    """A generalised training run that starts or continues in `out/<expname>`."""
    device = distributed.select_device(config.run.device, config.expects_gpu)
    context = distributed.init(device, config.run.dist_url)
    examples, class_names = training_examples(config, context)
    return assemble_training(config, run_folder(config), examples, class_names, context, device)


def assemble_training(
    config: Config,
    folder: Path,
    examples: KeyedExamples,
    class_names: tuple[str, ...],
    context: Context,
    device: torch.device,
    finetune_on: str | None = None,
) -> TrainingRun:
    """A training run on given examples; continues from the folder's newest checkpoint if it has one.

    Fine-tuning names its scene, which is then the one to validate on.
    """
    architecture = Architecture.of(config, class_count(config, class_names))
    torch.manual_seed(config.run.seed)
    model = architecture.build().to(device)
    optimizer = build_optimizer(model, config)
    scheduler = StepLR(optimizer, config.optim.lrate_decay_steps, config.optim.lrate_decay_factor)
    counts = torch.zeros(len(class_names), dtype=torch.int64)
    state = TrainingState(model, _wrapped(model, context, device), optimizer, scheduler, counts)
    newest = checkpoint_to_continue(config, folder, context)
    if newest is not None:
        _continue(state, newest)
    else:
        _start(config, state, architecture)
    write_config(config, folder, context)
    validation = _validation(config, folder, [finetune_on] if finetune_on else [], context, device)
    return TrainingRun(
        config=config,
        folder=folder,
        state=state,
        architecture=architecture,
        examples=examples,
        class_names=class_names,
        objective=build_objective(config, len(class_names), finetuning=finetune_on is not None),
        validation=validation,
        finetuning=finetune_on is not None,
        context=context,
        device=device,
    )


def validation_folder(folder: Path, step: int) -> Path:
    """Where the pictures and scores of a validation lie."""
    return folder / "validation" / f"step_{step:06d}"


def build_objective(config: Config, ignore: int, finetuning: bool) -> Objective:
    """The training loss of a config."""
    loss = config.loss
    depth = loss.depth_loss_scale
    if depth is None:
        depth = _FINETUNING_DEPTH_WEIGHT if finetuning else 0.0
    weights = LossWeights(loss.render_loss_scale, loss.semantic_loss_scale, loss.distill_loss_scale, depth)
    return Objective(weights, ignore, loss.n_p, loss.depth_guided_negative, config.run.compat)


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


def _continue(state: TrainingState, path: Path) -> None:
    """Everything as it was at a checkpoint of this run."""
    content = load_checkpoint(path)
    try:
        state.restore(content)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: expected a training checkpoint of this run, found another content ({reason}); "
            "to start from its weights name it with --ckpt_path and choose another --expname"
        ) from error


def _start(config: Config, state: TrainingState, architecture: Architecture) -> None:
    """Starting weights: those of `ckpt_path`, or random ones."""
    optim = config.optim
    if optim.ckpt_path is None:
        if optim.lrate_gnt < _SLOW_TRANSFORMER_RATE:
            _log.warning(
                "lrate_gnt = %g is meant for a start from GNT's weights (--ckpt_path); "
                "from scratch use --lrate_gnt 5e-4 --lrate_feature 1e-3",
                optim.lrate_gnt,
            )
        return
    content = load_checkpoint(optim.ckpt_path)
    architecture.require_same(content, optim.ckpt_path)
    load_weights(state.model, content, optim.ckpt_path)
    if is_released(content):
        _log.info("%s: weights only; its optimiser orders the parameters of another program", optim.ckpt_path)
        return
    if not optim.no_load_opt and "optimizer" in content:
        _load_optimizer(config, state, content["optimizer"])
    if not optim.no_load_scheduler and "scheduler" in content:
        # How far the schedule is comes from the checkpoint; what it does there is the config's.
        state.scheduler.last_epoch = content["scheduler"]["last_epoch"]
    decays = state.scheduler.last_epoch // optim.lrate_decay_steps
    for group, rate in zip(state.optimizer.param_groups, state.scheduler.base_lrs, strict=True):
        group["lr"] = rate * optim.lrate_decay_factor**decays


def _load_optimizer(config: Config, state: TrainingState, content: dict[str, Any]) -> None:
    """The moments of a checkpoint's optimiser; the config's learning rates always win over the checkpoint's."""
    try:
        state.optimizer.load_state_dict(content)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{config.optim.ckpt_path}: its optimiser does not fit this model ({error}); start with --no_load_opt"
        ) from error
    for group, rate in zip(state.optimizer.param_groups, state.scheduler.base_lrs, strict=True):
        group["initial_lr"] = rate


def _wrapped(model: nn.Module, context: Context, device: torch.device) -> nn.Module:
    if context.world_size == 1:
        return model
    devices = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=devices)


def _validation(
    config: Config, folder: Path, names: Sequence[str], context: Context, device: torch.device
) -> Callable[[TrainingState, Path], dict[str, Any]]:
    """Evaluates the validation scenes with the current weights; scenes are opened now, so that errors come early."""
    source = data_source(config, config.data.eval_dataset)
    scenes = source.open(names or scene_names(config, source.protocol, "validation"))

    def validate(state: TrainingState, checkpoint: Path) -> dict[str, Any]:
        described = describe_checkpoint(checkpoint, state.step)
        settings = evaluation_settings(
            config, source, validation_folder(folder, state.step), described, state.class_counts
        )
        return EvaluationRun(state.model, scenes, source, settings, context, device).run()  # type: ignore[arg-type]

    return validate
