"""Evaluation runs from a config."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpnerf import distributed
from gpnerf.assembly.data import DataSource, data_source, scene_names
from gpnerf.assembly.dependencies import data_digest, result_digest
from gpnerf.assembly.execution import place
from gpnerf.assembly.instances import require_instances, require_task
from gpnerf.assembly.model import Architecture, class_count
from gpnerf.assembly.run_folder import find_newest, owned, run_folder
from gpnerf.checkpoint import checkpoint_path, load_checkpoint, load_weights
from gpnerf.config import Config
from gpnerf.data.protocol import resolve
from gpnerf.data.scene import Scene
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.evaluation import SCORES, EvaluationSettings, evaluate, join_scenes, read_result, worst_views, write_results
from gpnerf.evaluation.recognition import Task
from gpnerf.evaluation.view import ViewSettings
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.rendering import Chunking
from gpnerf.storage import file_digest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRun:
    """Everything an evaluation needs; `run` returns the content of `metrics.json`."""

    model: GPNeRF
    scenes: list[Scene]
    source: DataSource
    settings: EvaluationSettings
    context: Context
    device: torch.device

    @property
    def folder(self) -> Path:
        """Where the results are written."""
        return self.settings.folder

    def run(self) -> dict[str, Any]:
        with owned(self.folder, self.context):
            return evaluate(self.model, self.scenes, self.source.protocol, self.settings, self.context, self.device)

    def kept(self) -> dict[str, Any] | None:
        """The result that an earlier run wrote to the folder, if it was made from the same."""
        return self.context.by_first(lambda: read_result(self.folder, self.settings.inputs))


@dataclass(frozen=True)
class EvaluationByScene:
    """Evaluations of scenes that have weights of their own; `run` returns the content of the joint `metrics.json`."""

    runs: list[EvaluationRun]
    folder: Path
    context: Context
    device: torch.device

    def run(self) -> dict[str, Any]:
        with owned(self.folder, self.context):
            return self._run()

    def _run(self) -> dict[str, Any]:
        results = {run.scenes[0].name: run.run() for run in self.runs}
        source = self.runs[0].source
        described = resolve(source.protocol, [run.scenes[0] for run in self.runs])
        start = {"path": "of each scene", "step": None, "sha256": None}
        joined = join_scenes(described, start, results, source.class_names, self.device)
        if self.context.is_main:
            places = [(run.scenes[0], run.folder / run.scenes[0].name) for run in self.runs]
            views = worst_views(joined, places, source.class_names, source.stuff, source.protocol.render_stride)
            write_results(self.folder, joined, views, self.runs[0].settings.config)
        return joined


def build_evaluation(config: Config) -> EvaluationRun | EvaluationByScene:
    """An evaluation of `ckpt_path`, or of the run folder's newest checkpoint, on the validation scenes.

    Instances are evaluated scene by scene, each with its own newest checkpoint in the run folder.
    """
    device = distributed.select_device(config.run.device, config.expects_gpu)
    context = distributed.init(device, config.run.dist_url)
    source = data_source(config, config.data.eval_dataset)
    scenes = source.open(scene_names(config, source.protocol, "evaluation"))
    folder = run_folder(config)
    if config.run.task == "semantic":
        return assemble_evaluation(config, source, scenes, folder, context, device)
    if config.optim.ckpt_path and len(scenes) > 1:
        raise UserError(
            f"{config.optim.ckpt_path}: expected one scene, the one that these instances are of, found {len(scenes)}; "
            "name it in --val_set_list, or leave --ckpt_path out, which takes each scene's own weights"
        )
    runs = [assemble_evaluation(config, source, [scene], folder / scene.name, context, device) for scene in scenes]
    return EvaluationByScene(runs, folder / "eval" / source.protocol.name, context, device)


def finished_evaluation(config: Config, step: int) -> dict[str, Any] | None:
    """The result of the run's checkpoint of a step; None without it, and if anything that it depends on has changed."""
    path = checkpoint_path(run_folder(config), step)
    if not path.is_file():
        return None
    source = data_source(config, config.data.eval_dataset)
    scenes = source.open(scene_names(config, source.protocol, "evaluation"))
    checkpoint = describe_checkpoint(path, step, Context())
    inputs = result_digest(config, source, scenes, data_digest(scenes), checkpoint)
    return read_result(run_folder(config) / "eval" / source.protocol.name, inputs)


def assemble_evaluation(
    config: Config, source: DataSource, scenes: list[Scene], folder: Path, context: Context, device: torch.device
) -> EvaluationRun:
    """The scenes with `ckpt_path` or the folder's newest checkpoint; results go into the folder too."""
    path = config.optim.ckpt_path or find_newest(folder, context)
    if path is None:
        raise UserError(f"{folder}: no checkpoint to evaluate; name one with --ckpt_path or train with this --expname")
    content = load_checkpoint(path)
    require_task(config, content, path)
    counts, classes = content.get("class_counts"), len(source.class_names)
    if counts is not None and len(counts) != classes:
        raise UserError(f"{path}: expected counts of {classes} classes, found {len(counts)}; name other weights")
    instances = scenes[0].instance_map
    if instances is not None:
        require_instances(content, scenes[0].name, instances, path)
    architecture = Architecture.of(
        config, class_count(config, source.class_names), len(instances.ids) if instances else 0
    )
    architecture.require_same(content, path)
    model = architecture.build()
    load_weights(model, content, path)
    settings = evaluation_settings(
        config,
        source,
        scenes,
        folder / "eval" / source.protocol.name,
        describe_checkpoint(path, content.get("step"), context),
        counts,
    )
    return EvaluationRun(place(model, config, device), scenes, source, settings, context, device)


def evaluation_settings(
    config: Config,
    source: DataSource,
    scenes: list[Scene],
    folder: Path,
    checkpoint: dict[str, Any],
    class_counts: Tensor | None,
) -> EvaluationSettings:
    """How the config renders and scores views; `class_counts` are the label pixels seen in training."""
    unknown = [name for name in source.protocol.metrics if name not in SCORES]
    if unknown:
        raise UserError(
            f"protocol {source.protocol.name}: unknown metric {unknown[0]!r}; the metrics are {', '.join(SCORES)}"
        )
    counted = class_counts is not None and bool(class_counts.sum() > 0)
    if not counted and config.run.task != "instance":
        _log.info("the weights come without counts of training labels: no score of the commonest class everywhere")
    view = ViewSettings(
        stride=source.protocol.render_stride,
        chunking=Chunking(config.render.chunk_size, config.render.memory_budget),
        amp=config.render.amp,
        task=Task(
            class_names=source.class_names,
            stuff=source.stuff,
            most_frequent_class=int(class_counts.argmax()) if counted else None,  # type: ignore[union-attr]
            compat=source.protocol.compat,
        ),
    )
    data = data_digest(scenes)
    inputs = result_digest(config, source, scenes, data, checkpoint)
    return EvaluationSettings(view, folder, checkpoint, config.to_text(), inputs, data)


def describe_checkpoint(path: Path, step: int | None, context: Context) -> dict[str, Any]:
    """Path, step and SHA-256 of a checkpoint file; only the process that writes the results reads it for that."""
    return {"path": str(path), "step": step, "sha256": file_digest(path) if context.is_main else None}
