"""Renderings of a scene's cameras as observations, kept on disk so that nothing is rendered twice."""

import io
import zipfile
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
from gpnerf.errors import UserError
from gpnerf.evaluation.instances import ChannelObjects
from gpnerf.free_views import FreeViews
from gpnerf.fusion.observation import Observation
from gpnerf.metrics.image import from_uint8, to_uint8
from gpnerf.metrics.segmentation import class_probabilities
from gpnerf.structures import Cameras, ImageOutput


@dataclass(frozen=True)
class RenderedViews:
    """The cameras of some frames (by place), each rendered from the nearest other frames.

    `objects` says which instance each channel of the instance head is, where there is one. The folder holds one file a
    frame: 8-bit colour and probabilities, depth in metres.
    """

    views: FreeViews
    protocol: Protocol
    frames: Sequence[int]
    folder: Path
    objects: ChannelObjects | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Observation]:
        for frame in self.frames:
            yield self._read(frame)

    def render_missing(self) -> None:
        """Render the frames of which there is no file yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for frame in tqdm([frame for frame in self.frames if not self._path(frame).is_file()], "render", unit="view"):
            self._render(frame)

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
        content = io.BytesIO()
        np.savez_compressed(content, rgb=to_uint8(output.rgb), depth=output.depth, **votes)
        beside = self._path(frame).with_suffix(".tmp")
        beside.write_bytes(content.getvalue())
        beside.replace(self._path(frame))

    def _probabilities(self, output: ImageOutput) -> Iterator[tuple[str, Float[Tensor, "channels height width"]]]:
        if output.logits is not None:
            yield "classes", class_probabilities(output.logits, self.protocol.compat)
        if output.instance_logits is not None and self.objects is not None:
            ids, with_none = self.objects.ids, len(self.objects.ids) + self.objects.has_none
            # From the order of the channels to that of the instances, without that of none.
            yield "instances", output.instance_logits[:with_none].softmax(dim=0)[ids.argsort()]

    def _read(self, frame: int) -> Observation:
        path = self._path(frame)
        try:
            with np.load(path) as file:
                content = {name: torch.from_numpy(file[name]) for name in file.files}
            rgb, depth = from_uint8(content["rgb"]), content["depth"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path}: expected a rendered view, found another ({error}); delete it and start again"
            ) from error
        camera = _strided(self.views.scene.camera(frame), self.protocol.render_stride)
        votes = {name: from_uint8(content[name]) for name in ("classes", "instances") if name in content}
        return Observation(camera, rgb, depth, **votes)


def _strided(camera: Cameras, stride: int) -> Cameras:
    """The camera whose pixels are every n-th of another's, from its first on."""
    intrinsics = camera.intrinsics.clone()
    intrinsics[:2] /= stride
    return Cameras(intrinsics, camera.cam_to_world, -(-camera.height // stride), -(-camera.width // stride))
