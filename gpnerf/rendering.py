"""Full views in chunks of rays; the same picture for every chunk size."""

import logging
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

from gpnerf import geometry
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.projection import SourceMaps
from gpnerf.structures import Cameras, ImageOutput, RayOutput, Wanted

_log = logging.getLogger(__name__)

# The perception head reads a map of every second pixel.
_FEATURE_STRIDE = 2
_GIGABYTE = 10**9


class Chunking:
    """How many rays are rendered at a time: a given number, or as many as a memory budget (GB) allows.

    Running out of memory halves the number for good; what is rendered does not depend on it.
    """

    def __init__(self, rays: int | None = None, memory_budget: float = 4.0) -> None:
        self.rays = rays
        self.memory_budget = memory_budget

    def size(self, model: GPNeRF, views: int) -> int:
        """Rays of the next chunk."""
        if self.rays is None:
            self.rays = max(1, int(self.memory_budget * _GIGABYTE / model.renderer.bytes_per_ray(views)))
        return self.rays

    def shrink(self, error: RuntimeError) -> None:
        """Halve the chunk after `error`; raises it again if there is nothing to halve, or if memory did not run out."""
        exhausted = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not exhausted or self.rays is None or self.rays == 1:
            raise error
        self.rays //= 2
        _log.warning("out of memory: going on with %d rays at a time (set --chunk_size or --memory_budget)", self.rays)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@torch.no_grad()
def render_view(
    model: GPNeRF,
    maps: SourceMaps,
    camera: Cameras,
    near: float,
    far: float,
    stride: int = 1,
    chunking: Chunking | None = None,
    semantics: bool = True,
) -> ImageOutput:
    """Render a camera from encoded source views, deterministically.

    Colour and depth (metres) are rendered at pixels [::stride, ::stride]; the semantic features always at
    [::2, ::2], from which the logits of the full image are decoded.
    """
    chunking = chunking or Chunking()
    rows, cols = -(-camera.height // _FEATURE_STRIDE), -(-camera.width // _FEATURE_STRIDE)
    carrying = _pixel_mask(camera, _FEATURE_STRIDE) if semantics else torch.zeros(camera.height, camera.width).bool()
    others = _pixel_mask(camera, stride) & ~carrying
    rgb = torch.zeros(camera.height, camera.width, 3, device=maps.images.device)
    depth = torch.zeros(camera.height, camera.width, device=maps.images.device)
    carried: list[Tensor] = []
    # The plain renderer is the reference of what is saved here: it carries semantics along every ray.
    for chosen, with_semantics in ((carrying, semantics), (others, semantics and model.renderer.plain)):
        for pixels, output in _render_pixels(model, maps, camera, near, far, chosen, chunking, with_semantics):
            u, v = pixels.unbind(-1)
            rgb[v, u], depth[v, u] = output.rgb, output.depth
            if chosen is carrying:
                carried.append(_semantic_output(output))
    rgb, depth = rgb[::stride, ::stride].permute(2, 0, 1), depth[::stride, ::stride]
    if not carried:
        return ImageOutput(rgb, depth)
    semantic = torch.cat(carried).T.unflatten(1, (rows, cols))
    if model.fpn is None:
        return ImageOutput(rgb, depth, logits=_upsampled(semantic, camera))
    return ImageOutput(rgb, depth, semantic, *model.segment(semantic, camera.height, camera.width))


def _pixel_mask(camera: Cameras, stride: int) -> Tensor:
    mask = torch.zeros(camera.height, camera.width, dtype=torch.bool)
    mask[::stride, ::stride] = True
    return mask


def _render_pixels(
    model: GPNeRF,
    maps: SourceMaps,
    camera: Cameras,
    near: float,
    far: float,
    chosen: Tensor,
    chunking: Chunking,
    semantics: bool,
) -> Iterator[tuple[Int64[Tensor, "rays 2"], RayOutput]]:
    """The last pass's output for the chosen pixels, chunk by chunk in row-major order."""
    pixels = chosen.nonzero().flip(1).to(maps.images.device)
    while len(pixels):
        part = pixels[: chunking.size(model, len(maps.images))]
        try:
            rays = geometry.camera_rays(camera, part)
            coarse, fine = model.renderer(rays, maps, near, far, Wanted(semantics))
        except RuntimeError as error:
            chunking.shrink(error)
            continue
        pixels = pixels[len(part) :]
        yield part, coarse if fine is None else fine


def _semantic_output(output: RayOutput) -> Tensor:
    """What a ray carries for the semantic map: features, or the logits of label rendering."""
    semantic = output.features if output.features is not None else output.logits
    if semantic is None:
        raise ValueError("this model renders no semantics")
    return semantic.float()


def _upsampled(logits: Tensor, camera: Cameras) -> Tensor:
    size = (_FEATURE_STRIDE * logits.shape[1], _FEATURE_STRIDE * logits.shape[2])
    full = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=True)[0]
    return full[:, : camera.height, : camera.width]
