"""What pictures and scores depend on: what was kept is taken again only where all of it is the same."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gpnerf.assembly.data import DataSource
from gpnerf.assembly.model import Architecture, class_count
from gpnerf.config import Config
from gpnerf.data.protocol import resolve
from gpnerf.data.scene import Scene
from gpnerf.data.scene_digest import scene_digest
from gpnerf.storage import digest

# To be raised whenever the same weights, files and flags give other pictures or scores.
_PROGRAM = 1
# Fields of a protocol that have no say in a picture.
_OF_SCORES = ("name", "metrics")


def describe_rendering(
    config: Config, source: DataSource, scene: Scene, depth_range: tuple[float, float], checkpoint: dict[str, Any]
) -> dict[str, Any]:
    """What a rendered picture depends on besides its camera and the scene's files, in types that JSON has."""
    protocol, render = source.protocol, config.render
    rules = {name: value for name, value in asdict(protocol).items() if name not in _OF_SCORES}
    return {
        "scene": scene.name,
        "task": config.run.task,
        "checkpoint": checkpoint["sha256"],
        "size": [protocol.width, protocol.height],
        "render_stride": protocol.render_stride,
        "num_source_views": protocol.num_source_views,
        "depth_range": list(depth_range),
        "compat": protocol.compat,
        "samples": [render.N_samples, render.N_importance],
        "inv_uniform": render.inv_uniform,
        "amp": render.amp,
        "rules": digest(json.loads(json.dumps(rules))),
        "network": _network(config, source, scene),
        "program": _PROGRAM,
    }


def data_digest(scenes: Sequence[Scene]) -> str:
    """SHA-256 of the cameras and files of scenes."""
    return digest({scene.name: scene_digest(scene) for scene in scenes})


def result_digest(
    config: Config, source: DataSource, scenes: Sequence[Scene], data: str, checkpoint: dict[str, Any]
) -> str:
    """SHA-256 of all that the result of an evaluation of these scenes depends on, with their `data_digest`."""
    described = {
        "program": _PROGRAM,
        "protocol": resolve(source.protocol, scenes)["sha256"],
        "checkpoint": checkpoint["sha256"],
        "data": data,
        "networks": [_network(config, source, scene) for scene in scenes],
        "task": config.run.task,
        "compat": config.run.compat,
        "amp": config.render.amp,
    }
    return digest(described)


def _network(config: Config, source: DataSource, scene: Scene) -> str:
    instances = len(scene.instance_map.ids) if scene.instance_map else 0
    return digest(Architecture.of(config, class_count(config, source.class_names), instances).computing())
