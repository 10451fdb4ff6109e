"""Per-scene fine-tuning runs from a config."""

import logging
from dataclasses import dataclass
from typing import Any

import torch

from gpnerf import distributed
from gpnerf.assembly.data import DataSource, data_source, require_truth, scene_names
from gpnerf.assembly.evaluation import EvaluationRun, describe_checkpoint, evaluation_settings
from gpnerf.assembly.run_folder import run_folder
from gpnerf.assembly.training import assemble_training
from gpnerf.checkpoint import checkpoint_path
from gpnerf.config import Config
from gpnerf.data.dataset import TrainingExamples
from gpnerf.data.scene import Scene
from gpnerf.distributed import Context
from gpnerf.errors import UserError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinetuningRun:
    """Fine-tunes and evaluates scene after scene, each from the same starting weights."""

    config: Config
    scenes: list[Scene]
    source: DataSource
    context: Context
    device: torch.device

    def run(self) -> dict[str, dict[str, Any]]:
        """Results (the content of `metrics.json`) by scene."""
        return {scene.name: self._run_scene(scene) for scene in self.scenes}

    def _run_scene(self, scene: Scene) -> dict[str, Any]:
        config, source = self.config, self.source
        _log.info("fine-tuning on %s", scene.name)
        folder = run_folder(config) / scene.name
        require_truth([scene], config.loss.semantic_loss_scale)
        examples = TrainingExamples(
            [scene], source.protocol, seed=config.run.seed, rank=self.context.rank, finetune=True
        )
        training = assemble_training(
            config, folder, examples, source.class_names, self.context, self.device, finetune_on=scene.name
        )
        training.run()
        last = describe_checkpoint(checkpoint_path(folder, training.state.step), training.state.step)
        settings = evaluation_settings(
            config, source, folder / "eval" / source.protocol.name, last, training.state.class_counts
        )
        model = training.state.model
        return EvaluationRun(model, [scene], source, settings, self.context, self.device).run()  # type: ignore[arg-type]


def build_finetuning(config: Config) -> FinetuningRun:
    """Fine-tuning on each of the evaluation scenes, from `ckpt_path`."""
    if config.optim.ckpt_path is None:
        raise UserError("fine-tuning starts from trained weights: name a checkpoint with --ckpt_path")
    device = distributed.select_device(config.run.device, config.expects_gpu)
    context = distributed.init(device, config.run.dist_url)
    source = data_source(config, config.data.eval_dataset)
    scenes = source.open(scene_names(config, source.protocol, "evaluation"))
    return FinetuningRun(config, scenes, source, context, device)
