"""Renderings of a scene's cameras as observations, kept on disk so that nothing is rendered twice."""

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from gpnerf.data.protocol import Protocol
from gpnerf.data.view_selection import nearest
from gpnerf.evaluation.instances import ChannelObjects
from gpnerf.free_views import FreeViews
from gpnerf.fusion.observation import Observation
from gpnerf.metrics.image import from_uint8, to_uint8
from gpnerf.metrics.segmentation import class_probabilities
from gpnerf.storage import write_whole
from gpnerf.structures import Cameras, ImageOutput

_MADE_OF = "made_of"


@dataclass(frozen=True)
class RenderedViews:
    """The cameras of some frames (by place), each rendered from the nearest other frames.

    `objects` says which instance each channel of the instance head is, where there is one. The folder holds one file a
    frame: 8-bit colour and probabilities, depth in metres, and `made_of`, a digest of all that the views depend on.
    """

    views: FreeViews
    protocol: Protocol
    frames: Sequence[int]
    folder: Path
    made_of: str
    objects: ChannelObjects | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Observation]:
        for frame in self.frames:
            yield self._read(frame)

    def render_missing(self) -> None:
        """Render the frames of which there is no file yet, or one of something else, or a damaged one."""
        for frame in tqdm([frame for frame in self.frames if not self._is_kept(frame)], "render", unit="view"):
            self._render(frame)

    def _is_kept(self, frame: int) -> bool:
        path = self._path(frame)
        if not path.is_file():
            return False
        try:
            with np.load(path) as file:
                same = str(file[_MADE_OF]) == self.made_of
                return same and all(file[name].size for name in file.files)  # which reads it and its checksums
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return False

    def _path(self, frame: int) -> Path:
        return self.folder / f"{self.views.scene.numbers[frame]}.npz"

    def _render(self, frame: int) -> None:
        protocol, scene = self.protocol, self.views.scene
        allowed = protocol.allowed_sources(scene, frame, held_out=[])
        sources = nearest(protocol.distances(scene, frame), allowed, protocol.num_source_views)
        output = self.views.render_from(sources.tolist(), scene.camera(frame), stride=protocol.render_stride)
        votes: dict[str, Any] = {
            name: to_uint8(values[:, :: protocol.render_stride, :: protocol.render_stride])
            for name, values in self._probabilities(output)
        }
        votes[_MADE_OF] = np.array(self.made_of)
        content = io.BytesIO()
        np.savez_compressed(content, rgb=to_uint8(output.rgb), depth=output.depth, **votes)
        write_whole(self._path(frame), content.getvalue())

    def _probabilities(self, output: ImageOutput) -> Iterator[tuple[str, Float[Tensor, "channels height width"]]]:
        if output.logits is not None:
            yield "classes", class_probabilities(output.logits, self.protocol.compat)
        if output.instance_logits is not None and self.objects is not None:
            ids, with_none = self.objects.ids, len(self.objects.ids) + self.objects.has_none
            # From the order of the channels to that of the instances, without that of none.
            yield "instances", output.instance_logits[:with_none].softmax(dim=0)[ids.argsort()]

    def _read(self, frame: int) -> Observation:
        with np.load(self._path(frame)) as file:
            content = {name: torch.from_numpy(file[name]) for name in file.files if name != _MADE_OF}
        rgb, depth = from_uint8(content["rgb"]), content["depth"]
        camera = _strided(self.views.scene.camera(frame), self.protocol.render_stride)
        votes = {name: from_uint8(content[name]) for name in ("classes", "instances") if name in content}
        return Observation(camera, rgb, depth, **votes)


def _strided(camera: Cameras, stride: int) -> Cameras:
    """The camera whose pixels are every n-th of another's, from its first on."""
    intrinsics = camera.intrinsics.clone()
    intrinsics[:2] /= stride
    return Cameras(intrinsics, camera.cam_to_world, -(-camera.height // stride), -(-camera.width // stride))
