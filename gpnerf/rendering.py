"""Full views in chunks of rays; the same picture for every chunk size."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

from gpnerf import geometry
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.projection import SourceMaps
from gpnerf.structures import Cameras, ImageOutput, RayOutput

# The perception head reads a map of every second pixel.
_FEATURE_STRIDE = 2


@torch.no_grad()
def render_view(
    model: GPNeRF,
    maps: SourceMaps,
    camera: Cameras,
    near: float,
    far: float,
    stride: int = 1,
    chunk_size: int = 2048,
    semantics: bool = True,
) -> ImageOutput:
    """Render a camera from encoded source views, deterministically.

    Colour and depth (metres) are rendered at pixels [::stride, ::stride]; the semantic features always at
    [::2, ::2], from which the logits of the full image are decoded. `chunk_size` is the number of rays at a time.
    """
    rows, cols = -(-camera.height // _FEATURE_STRIDE), -(-camera.width // _FEATURE_STRIDE)
    carrying = _pixel_mask(camera, _FEATURE_STRIDE) if semantics else torch.zeros(camera.height, camera.width).bool()
    plain = _pixel_mask(camera, stride) & ~carrying
    rgb = torch.zeros(camera.height, camera.width, 3, device=maps.images.device)
    depth = torch.zeros(camera.height, camera.width, device=maps.images.device)
    carried: list[Tensor] = []
    for chosen, with_semantics in ((carrying, True), (plain, False)):
        for pixels, output in _render_pixels(model, maps, camera, near, far, chosen, chunk_size, with_semantics):
            u, v = pixels.unbind(-1)
            rgb[v, u], depth[v, u] = output.rgb, output.depth
            if with_semantics:
                carried.append(_semantic_output(output))
    rgb, depth = rgb[::stride, ::stride].permute(2, 0, 1), depth[::stride, ::stride]
    if not carried:
        return ImageOutput(rgb, depth)
    semantic = torch.cat(carried).T.unflatten(1, (rows, cols))
    if model.head is None:
        return ImageOutput(rgb, depth, logits=_upsampled(semantic, camera))
    return ImageOutput(rgb, depth, semantic, model.segment(semantic, camera.height, camera.width))


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
    chunk_size: int,
    semantics: bool,
) -> Iterator[tuple[Int64[Tensor, "rays 2"], RayOutput]]:
    """The last pass's output for the chosen pixels, chunk by chunk in row-major order."""
    pixels = chosen.nonzero().flip(1).to(maps.images.device)
    for part in pixels.split(chunk_size) if len(pixels) else ():
        rays = geometry.camera_rays(camera, part)
        coarse, fine = model.renderer(rays, maps, near, far, semantics=semantics)
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
