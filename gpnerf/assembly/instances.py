"""What is different when the head tells instances apart: names, checkpoints, starting weights."""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from gpnerf.assembly.model import Architecture
from gpnerf.checkpoint import is_released, load_weights
from gpnerf.config import Config
from gpnerf.data.dataset import KeyedExamples
from gpnerf.data.instances import InstanceMap
from gpnerf.errors import UserError

_log = logging.getLogger(__name__)

# The last layer of the perception head, and the parts of a checkpoint that may hold it: ours and the released one.
_PREDICTOR = re.compile(r"(^|\.)predictor\.")
_PREDICTOR_PARTS = ("model", "sem_seg_head")


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
    described = {"architecture": architecture.to_dict(), "depth_range": examples.depth_range}
    if not instances:
        return described | {"class_names": list(class_names)}
    names, ids = list(_channel_names(config, instances)), list(instances.ids)
    return described | {"class_names": names, "task": "instance", "scene": scene, "instances": ids}


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
    """Every weight but those of the head's predictor, whose outputs meant something else: it starts at random."""
    described = content.get("architecture", {})
    replace(architecture, outputs=described.get("outputs", architecture.outputs)).require_same(content, path)
    kept = {
        part: {name: tensor for name, tensor in content[part].items() if not _PREDICTOR.search(name)}
        for part in _PREDICTOR_PARTS
        if part in content
    }
    load_weights(model, {**content, **kept}, path)
    _log.info("%s: everything but the head's predictor is taken, for %d instances", path, architecture.outputs - 1)
