"""Where a training starts: at its run's newest checkpoint, at given weights, or at random ones."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gpnerf.assembly.instances import require_task, start_instances
from gpnerf.assembly.model import Architecture
from gpnerf.checkpoint import is_released, load_checkpoint, load_weights
from gpnerf.config import Config
from gpnerf.data.dataset import KeyedExamples, MixedExamples, TrainingExamples
from gpnerf.data.scene_digest import cameras_digest
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.storage import digest
from gpnerf.training import LossWeights, TrainingState

_log = logging.getLogger(__name__)

# Below this rate the transformer barely moves from its random start.
_SLOW_TRANSFORMER_RATE = 1e-4
# Rules of a protocol that training does not follow.
_NOT_OF_TRAINING = ("name", "render_stride", "metrics", "listed_sources")

# What a run must have been started from to be continued, under its name in a checkpoint.
_ORIGINS = {
    "data_sha256": "other training data (protocol file, split file or frames)",
    "start_sha256": "other weights (--ckpt_path)",
}


def origins(examples: KeyedExamples, start_digest: str | None) -> dict[str, str]:
    """What a run is started from, as digests: what decides the stream of examples beside the flags (rules, scenes,
    frames), the scenes' cameras, and the file of its starting weights, where there must be one.
    """
    found = {"data_sha256": digest(_described(examples)), "cameras_sha256": _cameras(examples)}
    return found | ({"start_sha256": start_digest} if start_digest else {})


def continue_run(state: TrainingState, path: Path, started_from: Mapping[str, str], context: Context) -> None:
    """Everything as it was at a checkpoint of this run; a warning if the cameras are others by now.

    Raises:
        UserError: it is no training checkpoint, or its run was started from something else (see `origins`).
    """
    content = load_checkpoint(path)
    for name, now in started_from.items():
        if (found := content.get(name, now)) != now:
            if name not in _ORIGINS:
                _log.warning(
                    "%s: the scenes' cameras have changed since this run was started; it goes on with them", path
                )
                continue
            raise UserError(
                f"{path}: this run was started from {_ORIGINS[name]}: SHA-256 {found[:12]} then, {now[:12]} now; "
                "set it back, choose another --expname, or start afresh with --no_reload"
            )
    try:
        classes = len(state.class_counts)
        state.restore(content, context)
        _require_moments(state)
        if len(state.class_counts) != classes:
            raise ValueError(f"counts of {len(state.class_counts)} classes for {classes}")
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: expected a training checkpoint of this run, found another content ({reason}); "
            "to start from its weights name it with --ckpt_path and choose another --expname"
        ) from error


def start_run(config: Config, state: TrainingState, architecture: Architecture) -> None:
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
    if config.run.task != "semantic":
        start_instances(state.model, content, architecture, optim.ckpt_path)
        return
    require_task(config, content, optim.ckpt_path)
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


def freeze_untrained(model: GPNeRF, weights: LossWeights) -> None:
    """Take out of training the parts that none of the losses reaches.

    They would cost time, and processes that exchange gradients expect one of every part in training.
    """
    semantic, distillation = weights.heads, weights.distillation > 0
    # The reference of the distillation gives no gradient; the source views' features do if they are not detached.
    distilled = distillation or weights.guidance > 0
    pyramid = model.fpn is not None and (semantic or (distilled and not model.detach_reference))
    learning: dict[nn.Module | None, bool] = {model.fpn: pyramid, model.encoder.stage3: pyramid}
    learning |= {model.head: weights.semantic > 0, model.instance_head: weights.instance > 0}
    for network in (model.renderer.coarse, model.renderer.fine):
        learning[getattr(network, "adaptor", None)] = distillation or (semantic and model.insert)
        learning[getattr(network, "label", None)] = semantic
    for part, learns in learning.items():
        if part is not None:
            part.requires_grad_(learns)


def _described(examples: KeyedExamples) -> Any:
    if isinstance(examples, MixedExamples):
        return [_described(part) for part in examples.parts]
    assert isinstance(examples, TrainingExamples)
    rules = {name: value for name, value in asdict(examples.protocol).items() if name not in _NOT_OF_TRAINING}
    return [rules, {scene.name: scene.numbers.tolist() for scene in examples.scenes}]


def _cameras(examples: KeyedExamples) -> str:
    if isinstance(examples, MixedExamples):
        return digest([_cameras(part) for part in examples.parts])
    assert isinstance(examples, TrainingExamples)
    return digest({scene.name: cameras_digest(scene) for scene in examples.scenes})


def _require_moments(state: TrainingState) -> None:
    """Raise ValueError unless the optimiser's moments have the shapes of their weights: loading does not compare."""
    for parameter, moments in state.optimizer.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                found, expected = list(value.shape), list(parameter.shape)
                raise ValueError(f"{name} of shape {found} for a weight of shape {expected}")


def _load_optimizer(config: Config, state: TrainingState, content: dict[str, Any]) -> None:
    """The moments of a checkpoint's optimiser; the config's learning rates always win over the checkpoint's."""
    try:
        state.optimizer.load_state_dict(content)
        _require_moments(state)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{config.optim.ckpt_path}: its optimiser does not fit this model ({error}); start with --no_load_opt"
        ) from error
    for group, rate in zip(state.optimizer.param_groups, state.scheduler.base_lrs, strict=True):
        group["initial_lr"] = rate
