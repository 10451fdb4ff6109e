"""Protocols, scenes and streams of examples from a config."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gpnerf.config import Config
from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import KeyedExamples, MixedExamples, TrainingExamples
from gpnerf.data.labels import CLASS_NAMES
from gpnerf.data.loaders import training_loader
from gpnerf.data.protocol import DepthRanges, Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.data.splits import read_split
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.structures import Example, FrameFailure

# Split and protocol files come with the program, wherever it is started from.
CONFIGS = Path(__file__).parents[2] / "configs"
_GIGABYTE = 10**9

Purpose = Literal["training", "validation", "evaluation"]


@dataclass(frozen=True)
class DataSource:
    """Opens scenes of one data set under one protocol."""

    protocol: Protocol
    rootdir: Path
    cache: FrameCache

    @property
    def class_names(self) -> tuple[str, ...]:
        return CLASS_NAMES[self.protocol.class_map]

    def open(self, names: Sequence[str], every_sequence: bool = False) -> list[Scene]:
        """Open scenes by name."""
        return open_scenes(self.rootdir, names, self.protocol, self.cache, every_sequence)


def data_source(config: Config, dataset: str) -> DataSource:
    """The protocol of a data set (`train_rooms`, `val_rooms`, ...) with the config's overrides."""
    protocol = load_protocol(config.run.protocol, dataset.split("_", 1)[1], CONFIGS)
    data, render = config.data, config.render
    given: dict[str, Any] = {
        "num_source_views": data.num_source_views,
        "width": data.original_width,
        "height": data.original_height,
        "render_stride": render.render_stride,
        "depth_ranges": DepthRanges(*[data.depth_range] * 3) if data.depth_range else None,
        "compat": "release" if config.run.compat == "release" else None,
    }
    protocol = replace(protocol, **{name: value for name, value in given.items() if value is not None})
    return DataSource(protocol, config.run.rootdir, FrameCache(int(data.cache_gb * _GIGABYTE)))


def scene_names(config: Config, protocol: Protocol, purpose: Purpose) -> tuple[str, ...]:
    """Scenes to train on, or to validate, fine-tune and evaluate on: the flags' or the protocol's."""
    data = config.data
    if purpose == "training":
        if data.train_scenes:
            return data.train_scenes
        return read_split(data.train_set_list) if data.train_set_list else protocol.train_scenes
    if data.val_set_list:
        return read_split(data.val_set_list)
    return protocol.validation_scenes if purpose == "validation" else protocol.scenes


def training_examples(config: Config, context: Context) -> tuple[KeyedExamples, tuple[str, ...]]:
    """The examples of every training set, mixed by weight, and the names of their classes."""
    parts: list[KeyedExamples] = []
    classes: set[tuple[str, ...]] = set()
    for dataset in config.data.train_dataset.split("+"):
        source = data_source(config, dataset)
        scenes = source.open(scene_names(config, source.protocol, "training"), every_sequence=True)
        parts.append(TrainingExamples(scenes, source.protocol, seed=config.run.seed, rank=context.rank, finetune=False))
        classes.add(source.class_names)
    if len(classes) > 1:
        raise UserError(
            f"train_dataset = {config.data.train_dataset}: the data sets have different classes; "
            "expected data sets with one class table"
        )
    weights = config.data.dataset_weights or [1.0] * len(parts)
    return parts[0] if len(parts) == 1 else MixedExamples(parts, weights), classes.pop()


def example_stream(
    config: Config, examples: KeyedExamples, context: Context, start: int
) -> Iterator[Example | FrameFailure]:
    """This rank's endless stream, from the `start`-th example on."""
    return training_loader(
        examples, world_size=context.world_size, num_workers=config.run.num_workers, start_step=start
    )
