"""Videos from a config."""

from dataclasses import dataclass
from pathlib import Path

from gpnerf import distributed
from gpnerf.assembly.free_views import TrainedScene, build_free_views
from gpnerf.assembly.run_folder import run_folder
from gpnerf.config import Config
from gpnerf.errors import UserError
from gpnerf.video.film import Film, require_encoder
from gpnerf.video.labellings import Classes, Instances, Labelling, Panoptic
from gpnerf.video.paths import Trajectory, camera_path
from gpnerf.video.video import Video


@dataclass(frozen=True)
class VideoRequest:
    """Which way through which scene; `keys` are frames to pass through and `poses` a file, for the paths with such.

    `out` is the folder of the frames and films; without one it is out/<expname>/video/<scene>/<trajectory>.
    """

    scene: str
    trajectory: Trajectory
    frames: int
    keys: tuple[int, ...]
    poses: Path | None
    out: Path | None
    film: Film


def build_video(config: Config, request: VideoRequest) -> Video:
    """A video with the weights of `ckpt_path`, or of the run folder's newest checkpoint."""
    require_encoder()
    if distributed.context().world_size > 1:
        raise UserError("a video is rendered by one process: start the script without a launcher")
    trained = build_free_views(config, request.scene)
    poses = camera_path(trained.scene, request.trajectory, request.frames, request.keys, request.poses)
    return Video(
        views=trained.views,
        poses=poses,
        stride=trained.source.protocol.render_stride,
        labellings=labellings(config, trained),
        folder=request.out or run_folder(config) / "video" / request.scene / request.trajectory,
        description=trained.description,
        data=trained.data,
        film=request.film,
    )


def labellings(config: Config, trained: TrainedScene) -> tuple[Labelling, ...]:
    """What the task tells apart."""
    source = trained.source
    classes = Classes(source.class_names, source.protocol.compat)
    if trained.objects is None or trained.scene.instance_map is None:
        return (classes,)
    instances = Instances(trained.scene.instance_map, trained.objects)
    if config.run.task == "instance":
        return (instances,)
    return classes, instances, Panoptic(classes, instances, source.stuff)
