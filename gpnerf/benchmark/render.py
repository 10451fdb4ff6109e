"""What rendering costs: rays with and without semantics, encoding, head; and whole images composed of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.benchmark.timing import Job, Result, Task
from gpnerf.geometry import camera_rays
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.projection import SourceMaps
from gpnerf.rendering import Chunking, render_view
from gpnerf.structures import Example, ImageOutput, RayOutput, Wanted

WITH, WITHOUT = "with semantics", "without semantics"
# Rays further apart than this count as different.
_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Renderer:
    """A model at work on fixed rays of an example; each method is one piece of rendering.

    `colour_model` has the same weights but neither feature pyramid nor head; `bf16` runs networks in low precision.
    """

    model: GPNeRF
    colour_model: GPNeRF
    example: Example
    pixels: Int64[Tensor, "rays 2"]
    chunk_size: int
    stride: int
    bf16: bool

    @cached_property
    def maps(self) -> SourceMaps:
        """The encoded source views."""
        return self.encode()

    @cached_property
    def blank_features(self) -> Float[Tensor, "channels rows cols"]:
        """A feature map of the size that the head reads."""
        assert self.maps.semantic is not None
        return torch.rand(self.maps.semantic.shape[1:], device=self.pixels.device)

    @property
    def image_rays(self) -> tuple[int, int]:
        """Rays of a whole image with semantics, at every second pixel of every second row, and without."""
        height, width = self.example.target.image.shape[-2:]
        carrying = -(-height // 2) * -(-width // 2)
        return carrying, 0 if self.stride == 2 else height * width - carrying

    def encode(self, semantics: bool = True) -> SourceMaps:
        """The source views' maps, with or without the feature pyramid."""
        with self._inference(semantics) as model:
            return model.encode_sources(self.example.sources)

    def rays(self, semantics: bool) -> list[RayOutput]:
        """The last pass's outputs for the fixed rays, chunk by chunk."""
        maps, given, outputs = self.maps, self.example, []
        with self._inference() as model:
            for part in self.pixels.split(self.chunk_size):
                rays = camera_rays(given.target.camera, part)
                coarse, fine = model.renderer(rays, maps, given.near, given.far, Wanted(semantics))
                outputs.append(coarse if fine is None else fine)
        return outputs

    def head(self) -> Tensor:
        """Logits of a rendered feature map."""
        camera = self.example.target.camera
        with self._inference() as model:
            logits, _ = model.segment(self.blank_features, camera.height, camera.width)
        assert logits is not None, "what is measured tells classes apart"
        return logits

    def image(self, semantics: bool) -> ImageOutput:
        """A whole image, from the photos on."""
        given = self.example
        with self._inference(semantics) as model:
            maps = model.encode_sources(given.sources)
            camera, near, far = given.target.camera, given.near, given.far
            return render_view(model, maps, camera, near, far, self.stride, Chunking(self.chunk_size), semantics)

    @contextmanager
    def _inference(self, semantics: bool = True) -> Iterator[GPNeRF]:
        model = self.model if semantics else self.colour_model
        model.eval()
        with torch.no_grad(), torch.autocast(self.pixels.device.type, torch.bfloat16, enabled=self.bf16):
            yield model


def render_jobs(plain: Renderer, fast: Renderer, whole_images: bool) -> list[Job]:
    """What to compare; `whole_images` also renders entire images instead of only composing them of chunks."""

    def against(name: str, work: Callable[[Renderer], object]) -> Job:
        return Job(name, (Task("plain", lambda: work(plain)), Task("fast", lambda: work(fast))))

    def semantics(name: str, work: Callable[[bool], object]) -> Job:
        return Job(name, (Task(WITH, lambda: work(True)), Task(WITHOUT, lambda: work(False))))

    jobs = [
        against("encoding", lambda renderer: renderer.encode()),
        semantics("encoding, fast", fast.encode),
        against("head", lambda renderer: renderer.head()),
        semantics("rays, fast", fast.rays),
        against(f"rays {WITH}", lambda renderer: renderer.rays(True)),
        against(f"rays {WITHOUT}", lambda renderer: renderer.rays(False)),
    ]
    if whole_images:
        jobs += [semantics("image, fast", fast.image), against("image", lambda renderer: renderer.image(True))]
    return jobs


def composed_images(
    results: Mapping[str, Result], clock: str, rays: int, image_rays: tuple[int, int]
) -> dict[str, Any]:
    """Seconds of a whole image from the pieces measured on `rays` rays; `image_rays` are with and without semantics.

    Everything from the photos to colour, depth and logits; the image without semantics has neither pyramid nor head.
    Ratios are medians over the rounds, in each of which both sides were measured next to each other.
    """

    carrying, others = image_rays

    def seconds(job: str, task: str) -> list[float]:
        return getattr(results[job].laps[task], clock)

    def image(with_semantics: list[float], without: list[float]) -> list[float]:
        return [(carrying * a + others * b) / rays for a, b in zip(with_semantics, without, strict=True)]

    def ratio(first: list[float], second: list[float]) -> float:
        return median(a / b for a, b in zip(first, second, strict=True))

    carried, bare = seconds("rays, fast", WITH), seconds("rays, fast", WITHOUT)
    fast_rays, bare_rays = image(carried, bare), image(bare, bare)
    encoder, both_maps = median(seconds("encoding, fast", WITHOUT)), median(seconds("encoding, fast", WITH))
    head = median(seconds("head", "fast"))
    fast = [s + both_maps + head for s in fast_rays]
    colour = [s + encoder for s in bare_rays]
    # For this ratio from the rounds that measured both; the plain renderer carries semantics along every ray.
    others_of = {"plain": seconds(f"rays {WITH}", "plain"), "fast": seconds(f"rays {WITHOUT}", "fast")}
    against_plain = {
        name: [
            s + median(seconds("encoding", name)) + median(seconds("head", name))
            for s in image(seconds(f"rays {WITH}", name), others_of[name])
        ]
        for name in ("plain", "fast")
    }
    return {
        "composed_of_chunks": True,
        "pixels": {WITH: carrying, WITHOUT: others},
        "seconds": {"plain": median(against_plain["plain"]), "fast": median(fast), f"fast {WITHOUT}": median(colour)},
        "split": {
            "encoder": encoder,
            "feature pyramid": both_maps - encoder,
            "rays": median(fast_rays),
            "head": head,
        },
        "rays_per_second": {
            f"plain {WITH}": rays / median(seconds(f"rays {WITH}", "plain")),
            f"fast {WITH}": rays / median(carried),
            f"fast {WITHOUT}": rays / median(bare),
        },
        "ratio": {
            "with over without semantics, rays": ratio(fast_rays, bare_rays),
            "with over without semantics, image": ratio(fast, colour),
            "plain over fast, image": ratio(against_plain["plain"], against_plain["fast"]),
        },
    }


def agreement(plain: Renderer, fast: Renderer) -> dict[str, dict[str, float]]:
    """How far fast and plain are apart, ray by ray, as a share of the largest number of the plain rendering.

    The share of rays further apart than 1e-4 includes those whose fine samples jumped to another interval.
    """
    expected, found = plain.rays(True), fast.rays(True)
    compared = {}
    for name in ("rgb", "depth", "weights", "features"):
        truth, other = (torch.cat([getattr(part, name) for part in parts]) for parts in (expected, found))
        error = ((truth - other).abs() / truth.abs().max()).reshape(len(truth), -1).amax(dim=1)
        compared[name] = {
            "median": error.median().item(),
            "largest": error.max().item(),
            "share_above_1e-4": (error > _TOLERANCE).float().mean().item(),
        }
    return compared
