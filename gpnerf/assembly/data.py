"""Protocols, scenes and streams of examples from a config."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from gpnerf.config import Config
from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import KeyedExamples, MixedExamples, TrainingExamples
from gpnerf.data.instances import NO_INSTANCE
from gpnerf.data.labels import CLASS_NAMES, stuff_classes
from gpnerf.data.loaders import training_loader
from gpnerf.data.protocol import DepthRanges, Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.data.splits import read_split
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.evaluation import INSTANCE_SCORES, PANOPTIC_SCORES
from gpnerf.shipped import CONFIGS
from gpnerf.structures import Example, FrameFailure

_GIGABYTE = 10**9
# Data sets whose flag is not train_<name> or val_<name>.
_NAMES = {"instance_replica": "replica_dm", "posed_images": "posed_images"}

_log = logging.getLogger(__name__)

Purpose = Literal["training", "validation", "evaluation"]


@dataclass(frozen=True)
class DataSource:
    """Opens scenes of one data set under one protocol, each once however often it is asked for.

    `instances` says that their instances are wanted.
    """

    protocol: Protocol
    rootdir: Path
    cache: FrameCache
    instances: bool = False
    opened: dict[str, Scene] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        return CLASS_NAMES[self.protocol.class_map]

    @property
    def stuff(self) -> tuple[int, ...]:
        """The classes that have no instances."""
        return stuff_classes(self.protocol.class_map)

    def open(self, names: Sequence[str], every_sequence: bool = False) -> list[Scene]:
        """Open scenes by name."""
        scenes = open_scenes(self.rootdir, names, self.protocol, self.cache, every_sequence, self.opened)
        return [self._with_instances(scene) for scene in scenes] if self.instances else scenes

    def _with_instances(self, scene: Scene) -> Scene:
        """The scene with a channel for each instance of its fine-tuning targets."""
        if scene.instance_map is None:
            frames = self.protocol.finetuning_indices(scene)
            self.opened[scene.name] = scene.with_instances(frames, NO_INSTANCE[self.protocol.dataset])
        return self.opened[scene.name]


# A run's data sources by the data set's name: what it trains on and what it validates on may be the same scenes.
_SOURCES: WeakKeyDictionary[Config, dict[str, DataSource]] = WeakKeyDictionary()


def data_source(config: Config, dataset: str) -> DataSource:
    """The data set of a name (`train_rooms` and `val_rooms` are one) under the config's protocol and overrides.

    As long as a config lives it has one source for each data set, and one cache of frames for all of them.
    """
    sources, name = _SOURCES.setdefault(config, {}), _NAMES.get(dataset, dataset.split("_", 1)[1])
    if name not in sources:
        caches = [source.cache for source in sources.values()]
        cache = caches[0] if caches else FrameCache(int(config.data.cache_gb * _GIGABYTE))
        sources[name] = DataSource(_protocol(config, name), config.run.rootdir, cache, config.run.task != "semantic")
    return sources[name]


def _protocol(config: Config, dataset: str) -> Protocol:
    """The protocol of a data set with the config's overrides, which its name then tells."""
    protocol = load_protocol(config.run.protocol, dataset, CONFIGS)
    data, render = config.data, config.render
    given: dict[str, Any] = {
        "num_source_views": data.num_source_views,
        "width": data.original_width,
        "height": data.original_height,
        "render_stride": render.render_stride,
        "depth_ranges": DepthRanges(*[data.depth_range] * 3) if data.depth_range else None,
        "compat": "release" if config.run.compat == "release" else None,
    }
    changed = {name: value for name, value in given.items() if value not in (None, getattr(protocol, name))}
    # A number under changed rules must not bear the protocol's bare name.
    described = "".join(f"+{name}={_short(value)}" for name, value in changed.items())
    if config.run.task != "semantic":  # whatever is asked about classes
        panoptic = PANOPTIC_SCORES if config.run.task == "panoptic" else ()
        changed["metrics"] = tuple(dict.fromkeys((*protocol.metrics, *panoptic, *INSTANCE_SCORES)))
    return replace(protocol, **changed, name=protocol.name + described)


def _short(value: Any) -> str:
    return "-".join(f"{x:g}" for x in value.evaluation) if isinstance(value, DepthRanges) else str(value)


def scene_names(config: Config, protocol: Protocol, purpose: Purpose) -> tuple[str, ...]:
    """Scenes to train on, or to validate, fine-tune and evaluate on: the flags' or the protocol's."""
    data = config.data
    if purpose == "training" and "+" in data.train_dataset and (data.train_scenes or data.train_set_list):
        raise UserError(
            f"train_dataset = {data.train_dataset}: one list of scenes cannot serve several data sets; "
            "leave train_set_list and train_scenes out (each protocol has its own list) or name a protocol file"
        )
    if purpose == "training":
        if data.train_scenes:
            return data.train_scenes
        return read_split(data.train_set_list) if data.train_set_list else protocol.train_scenes
    if data.val_set_list:
        return read_split(data.val_set_list)
    return protocol.validation_scenes if purpose == "validation" else protocol.scenes


def training_examples(config: Config) -> tuple[KeyedExamples, tuple[str, ...]]:
    """The examples of every training set, mixed by weight, and the names of their classes."""
    parts: list[KeyedExamples] = []
    classes: set[tuple[str, ...]] = set()
    for dataset in config.data.train_dataset.split("+"):
        source = data_source(config, dataset)
        scenes = source.open(scene_names(config, source.protocol, "training"), every_sequence=True)
        require_truth(scenes, config.loss.semantic_loss_scale)
        parts.append(
            TrainingExamples(scenes, source.protocol, seed=config.run.seed, finetune=False, augment=config.data.augment)
        )
        classes.add(source.class_names)
    if len(classes) > 1:
        raise UserError(
            f"train_dataset = {config.data.train_dataset}: the data sets have different classes; "
            "expected data sets with one class table"
        )
    weights = config.data.dataset_weights or [1.0] * len(parts)
    return parts[0] if len(parts) == 1 else MixedExamples(parts, weights), classes.pop()


def require_truth(scenes: Sequence[Scene], semantic_weight: float) -> None:
    """Say which training scenes have no labels; without any, training with a semantic loss is an error."""
    unlabelled = [scene.name for scene in scenes if not scene.has_labels]
    if not unlabelled or not semantic_weight:
        return
    if len(unlabelled) == len(scenes):
        raise UserError(
            f"expected label files in the training scenes, found none in all {len(scenes)} ({unlabelled[0]}, ...); "
            "add them, or train colour only with --semantic_loss_scale 0 --distill_loss_scale 0"
        )
    _log.warning("no label files in %d training scenes: %s", len(unlabelled), ", ".join(unlabelled))


def example_stream(
    config: Config, examples: KeyedExamples, context: Context, start: int
) -> Iterator[Example | FrameFailure]:
    """This rank's endless stream, from the `start`-th example on."""
    workers = config.run.num_workers
    return training_loader(
        examples, rank=context.rank, world_size=context.world_size, num_workers=workers, start_step=start
    )
