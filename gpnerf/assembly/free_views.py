"""A trained model that looks at one scene, from a config: what videos, exported geometry and the viewer start from."""

from dataclasses import dataclass
from typing import Any

from gpnerf import distributed
from gpnerf.assembly.data import DataSource, data_source
from gpnerf.assembly.dependencies import describe_rendering
from gpnerf.assembly.evaluation import EvaluationRun, assemble_evaluation
from gpnerf.assembly.run_folder import run_folder
from gpnerf.config import Config
from gpnerf.data.scene import Scene
from gpnerf.data.scene_digest import scene_digest
from gpnerf.encodings import Encodings
from gpnerf.evaluation.instances import ChannelObjects, channel_objects
from gpnerf.free_views import FreeViews


@dataclass(frozen=True)
class TrainedScene:
    """`views` renders any camera of the scene; `objects` says which instance (a channel of the scene's instance map)
    each of the head's channels stands for, and is None where the head tells classes apart. `description` is what
    pictures depend on besides their camera and the scene's files, and `data` a digest of the latter."""

    views: FreeViews
    source: DataSource
    objects: ChannelObjects | None
    description: dict[str, Any]
    data: str

    @property
    def scene(self) -> Scene:
        return self.views.scene


def open_scene(config: Config, name: str) -> tuple[DataSource, Scene]:
    """A scene of the evaluation data set by its name."""
    source = data_source(config, config.data.eval_dataset)
    return source, source.open([name])[0]


def build_free_views(config: Config, name: str) -> TrainedScene:
    """The scene with the weights of `ckpt_path`, or the run's newest; for instances the scene's own."""
    device = distributed.select_device(config.run.device, config.expects_gpu)
    context = distributed.init(device, config.run.dist_url)
    source, scene = open_scene(config, name)
    data = scene_digest(scene)  # before anything of it is read
    folder = run_folder(config) / name if scene.instance_map else run_folder(config)
    run = assemble_evaluation(config, source, [scene], folder, context, device)
    run.model.eval()
    protocol, settings = source.protocol, run.settings.view
    encodings = Encodings(run.model, settings.chunking.memory_budget)
    near_far = protocol.depth_range(scene, "evaluation")
    views = FreeViews(
        encodings, scene, protocol.num_source_views, near_far, settings.chunking, device, settings.amp == "bf16"
    )
    description = describe_rendering(config, source, scene, near_far, run.settings.checkpoint)
    return TrainedScene(views, source, _objects(run, scene), description, data)


def _objects(run: EvaluationRun, scene: Scene) -> ChannelObjects | None:
    if scene.instance_map is None:
        return None
    return channel_objects(run.model, scene, run.source.protocol.finetuning_indices(scene), run.device)
