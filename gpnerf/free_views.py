"""Views of an opened scene from any camera, each rendered from the scene's frames that are nearest to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gpnerf.data.scene import Scene
from gpnerf.data.view_selection import nearest_to_pose
from gpnerf.encodings import Encodings
from gpnerf.rendering import Chunking, render_view
from gpnerf.structures import Cameras, ImageOutput, SourceViews


@dataclass(frozen=True)
class FreeViews:
    """A trained model that looks at one scene; every frame is encoded once while it fits.

    `source_count` is the number of frames that a view is rendered from, `depth_range` near and far (metres).
    """

    encodings: Encodings
    scene: Scene
    source_count: int
    depth_range: tuple[float, float]
    chunking: Chunking
    device: torch.device
    bf16: bool = False

    def render(
        self, camera: Cameras, semantics: bool = True, chunking: Chunking | None = None, stride: int = 1
    ) -> ImageOutput:
        """The view of a free camera on the CPU; with a `stride` only every n-th pixel of colour and depth."""
        pose = camera.cam_to_world.double().numpy()
        sources = nearest_to_pose(self.scene.cam_to_world, pose, self.source_count)
        return self.render_from(sources.tolist(), camera, semantics, chunking, stride)

    def render_from(
        self,
        sources: Sequence[int],
        camera: Cameras,
        semantics: bool = True,
        chunking: Chunking | None = None,
        stride: int = 1,
    ) -> ImageOutput:
        """The same from given frames of the scene (by place)."""
        frames = list(sources)
        views = SourceViews(self.scene.cameras(frames), self.scene.images(frames)).to(self.device)
        near, far = self.depth_range
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            maps = self.encodings.encode(frames, views)
            model, camera = self.encodings.model, camera.to(self.device)
            chunking = chunking or self.chunking
            return render_view(model, maps, camera, near, far, stride, chunking, semantics).to("cpu")
