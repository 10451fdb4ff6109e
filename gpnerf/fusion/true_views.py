"""A scene's own frames as observations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.data.scene import Scene
from gpnerf.fusion.observation import Observation


@dataclass(frozen=True)
class TrueViews:
    """Photos, true depth and, where the scene has them, labels and instances of some frames (by place).

    Instances are those of the scene's instance map.
    """

    scene: Scene
    frames: Sequence[int]

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Observation]:
        for frame in self.frames:
            yield self._observation(frame)

    def _observation(self, frame: int) -> Observation:
        scene, camera = self.scene, self.scene.camera(frame)
        depth = scene.depth(frame)
        classes = instances = None
        if scene.label_map is not None:
            classes = _votes(scene.labels(frame), scene.label_map.ignore, camera.height, camera.width)
        if scene.instance_map is not None:
            instances = _votes(scene.channels(frame), len(scene.instance_map.ids), camera.height, camera.width)
        unknown = torch.zeros(camera.height, camera.width)
        return Observation(camera, scene.image(frame), unknown if depth is None else depth, classes, instances)


def _votes(ids: Int64[Tensor, "height width"] | None, count: int, height: int, width: int) -> Float[Tensor, "ids h w"]:
    """1 for the id of each pixel; 0 everywhere for a number that is not below `count`, and without ids."""
    votes = torch.zeros(count, height, width)
    if ids is None:
        return votes
    known = (ids >= 0) & (ids < count)
    return votes.scatter_(0, ids.clamp(0, count - 1)[None], known[None].float())
