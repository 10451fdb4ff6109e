"""Per-scene fine-tuning runs from a config."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gpnerf.assembly.data import DataSource, data_source, require_truth, scene_names
from gpnerf.assembly.evaluation import EvaluationRun, describe_checkpoint, evaluation_settings
from gpnerf.assembly.run_folder import owned, run_folder
from gpnerf.assembly.training import TrainingRun, assemble_training, join
from gpnerf.checkpoint import checkpoint_path, load_checkpoint
from gpnerf.config import Config
from gpnerf.data.dataset import TrainingExamples
from gpnerf.data.protocol import resolve
from gpnerf.data.scene import Scene
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.evaluation import best_on_test, join_scenes, worst_views, write_results
from gpnerf.tracking import write_log

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinetuningRun:
    """Fine-tunes and evaluates scene after scene, each from the same starting weights.

    A run that was stopped goes on in the scene where it was; what is finished is not repeated. `start` describes the
    starting weights.
    """

    config: Config
    folder: Path
    scenes: list[Scene]
    source: DataSource
    start: dict[str, Any]
    context: Context
    device: torch.device

    def run(self) -> dict[str, Any]:
        """The content of the `metrics.json` over all scenes."""
        with owned(self.folder, self.context):
            return self._run()

    def _run(self) -> dict[str, Any]:
        source = self.source
        write_log(self.folder)
        results = {scene.name: self._run_scene(scene) for scene in self.scenes}
        described = resolve(source.protocol, self.scenes)
        joined = join_scenes(described, self.start, results, source.class_names, self.device)
        if self.config.run.protocol == "release":
            joined["best_on_test"] = {
                scene: best_on_test(scene, last, self.folder / scene / "validation") for scene, last in results.items()
            }
        if self.context.is_main:
            places = [(scene, self._evaluated(scene) / scene.name) for scene in self.scenes]
            views = worst_views(joined, places, source.class_names, source.stuff, source.protocol.render_stride)
            write_results(self.folder, joined, views, self.config.to_text())
        return joined

    def assemble(self, scene: Scene) -> TrainingRun:
        """The training on a scene, which goes on where it was stopped."""
        config, source = self.config, self.source
        if config.run.task != "instance":
            require_truth([scene], config.loss.semantic_loss_scale)
        examples = TrainingExamples([scene], source.protocol, seed=config.run.seed, finetune=True)
        return assemble_training(
            config,
            self.folder / scene.name,
            examples,
            source.class_names,
            self.context,
            self.device,
            finetune_on=scene.name,
            start_digest=self.start["sha256"],
            instances=scene.instance_map,
        )

    def _run_scene(self, scene: Scene) -> dict[str, Any]:
        config, source, context = self.config, self.source, self.context
        training = self.assemble(scene)
        _log.info("fine-tuning on %s from step %d", scene.name, training.state.step)
        training.run()
        state = training.state
        last = describe_checkpoint(checkpoint_path(training.folder, state.step), state.step, context)
        settings = evaluation_settings(config, source, [scene], self._evaluated(scene), last, training.class_counts())
        evaluation = EvaluationRun(state.model, [scene], source, settings, context, self.device)  # type: ignore[arg-type]
        if finished := evaluation.kept():
            _log.info("%s is finished; its result is in %s", scene.name, settings.folder)
            return finished
        return evaluation.run()

    def _evaluated(self, scene: Scene) -> Path:
        """Where the result of a scene is written."""
        return self.folder / scene.name / "eval" / self.source.protocol.name


def build_finetuning(config: Config) -> FinetuningRun:
    """Fine-tuning on each of the evaluation scenes, from `ckpt_path`."""
    path = config.optim.ckpt_path
    if path is None:
        raise UserError("fine-tuning starts from trained weights: name a checkpoint with --ckpt_path")
    context, device = join(config)
    source = data_source(config, config.data.eval_dataset)
    scenes = source.open(scene_names(config, source.protocol, "evaluation"))
    start = describe_checkpoint(path, load_checkpoint(path).get("step"), context)
    start = context.gather(start)[0]  # with the first process's checksum
    return FinetuningRun(config, run_folder(config), scenes, source, start, context, device)
