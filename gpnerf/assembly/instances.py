"""What is different when the head tells instances apart: names, checkpoints, starting weights."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gpnerf.assembly.model import Architecture
from gpnerf.checkpoint import is_released, load_weights
from gpnerf.config import Config
from gpnerf.data.dataset import KeyedExamples
from gpnerf.data.instances import InstanceMap
from gpnerf.errors import UserError

_log = logging.getLogger(__name__)

# The heads of classes and of instances differ in their last layer only.
_CLASS_HEAD, _INSTANCE_HEAD, _PREDICTOR = "head.", "instance_head.", "predictor."
_RELEASED_CLASS_HEAD, _RELEASED_INSTANCE_HEAD = "sem_seg_head", "instance_head"


def _channel_names(config: Config, instances: InstanceMap) -> tuple[str, ...]:
    """What the head's channels are called: by their instances where each has its own from the start."""
    fixed = config.loss.instance_assignment == "fixed"
    return instances.names if fixed else tuple(f"channel {k}" for k in range(len(instances.ids)))


def describe_model(
    config: Config,
    architecture: Architecture,
    class_names: tuple[str, ...],
    examples: KeyedExamples,
    scene: str | None,
    instances: InstanceMap | None,
) -> dict[str, Any]:
    """What a checkpoint tells of its model; `scene` is the one that the instances are of."""
    described = {"architecture": architecture.to_dict(), "depth_range": examples.depth_range, "compat": examples.compat}
    if not instances:
        return described | {"class_names": list(class_names)}
    names = class_names if architecture.outputs else _channel_names(config, instances)
    ids = list(instances.ids)
    return described | {"class_names": list(names), "task": config.run.task, "scene": scene, "instances": ids}


def require_task(config: Config, content: Mapping[str, Any], path: Path) -> None:
    """Refuse weights of this program whose head was trained to tell something else apart."""
    if (found := content.get("task", "semantic")) != config.run.task and not is_released(dict(content)):
        raise UserError(f"{path}: trained with --task {found}, found --task {config.run.task}; name other weights")


def require_instances(content: Mapping[str, Any], scene: str, instances: InstanceMap, path: Path) -> None:
    """Refuse a head that knows other instances than the scene's."""
    found, ids = content.get("scene", scene), content.get("instances", list(instances.ids))
    if found != scene or ids != list(instances.ids):
        raise UserError(
            f"{path}: trained on {len(ids)} instances of {found}, found {scene} with {len(instances.ids)} in its "
            "training frames; name the scene's own weights, or fine-tune on it anew"
        )


def start_instances(model: nn.Module, content: dict[str, Any], architecture: Architecture, path: Path) -> None:
    """Every weight but those of the instance head's last layer, whose outputs meant something else.

    It starts at random. Weights that know no instances give that head what their head of classes has.
    """
    described = content.get("architecture", {})
    known = replace(architecture, instances=described.get("instances", 0))
    if not architecture.outputs:
        known = replace(known, outputs=described.get("outputs", 0))
    known.require_same(content, path)
    if is_released(content):
        head = content.get(_RELEASED_CLASS_HEAD, {})
        given = {**content, _RELEASED_INSTANCE_HEAD: _without_predictor(head)}
        kept = given if architecture.outputs else {part: given[part] for part in given if part != _RELEASED_CLASS_HEAD}
    else:
        kept = {**content, "model": _instance_weights(content.get("model", {}), bool(architecture.outputs))}
    load_weights(model, kept, path)
    _log.info("%s: the instance head's last layer starts anew, for %d instances", path, architecture.instances)


def _instance_weights(weights: Mapping[str, Tensor], with_classes: bool) -> dict[str, Tensor]:
    """Weights with what the instance head starts from, and with a head of classes only if that is wanted."""
    heads = {
        prefix: {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
        for prefix in (_CLASS_HEAD, _INSTANCE_HEAD)
    }
    start = _without_predictor(heads[_INSTANCE_HEAD] or heads[_CLASS_HEAD])
    left_out = _INSTANCE_HEAD if with_classes else (_INSTANCE_HEAD, _CLASS_HEAD)
    others = {name: weight for name, weight in weights.items() if not name.startswith(left_out)}
    return others | {_INSTANCE_HEAD + name: weight for name, weight in start.items()}


def _without_predictor(head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight for name, weight in head.items() if not name.removeprefix("module.").startswith(_PREDICTOR)}
