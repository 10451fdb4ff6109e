"""Random cameras, maps and rays: most points lie outside some view, behind a camera or where nothing sees them."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpnerf import geometry
from gpnerf.models.projection import SourceMaps, sample_sources
from gpnerf.models.ray_renderer import RayRenderer
from gpnerf.models.ray_transformer import RayTransformer
from gpnerf.structures import Cameras, RayOutput, Rays, Wanted

NEAR, FAR = 0.5, 5.0
WIDTH, DEPTH, FEATURES, CHANNELS = 16, 3, 5, 128
HEIGHT, COLUMNS = 24, 30


@dataclass(frozen=True)
class Scene:
    """Rays and maps, with what to compare the semantic features of every sample with."""

    rays: Rays
    maps: SourceMaps
    reference: Float[Tensor, "rays channels"]

    @property
    def everything(self) -> Wanted:
        return Wanted(features=True, field=True, reference=self.reference)


def scene(views: int = 3, rays: int = 11, seed: int = 0, learn: bool = False, two: bool = False) -> Scene:
    """Wide-angle cameras of any orientation around the rays' origins.

    `learn`: the maps take gradients; `two`: the fine pass has a colour map of its own.
    """
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (views, 1, 1))
    poses[:, :3, :3] = [_rotation(rng) for _ in range(views)]
    poses[:, :3, 3] = rng.uniform(-1, 1, (views, 3))
    focal = 0.35 * COLUMNS
    intrinsics = torch.tensor([[focal, 0, (COLUMNS - 1) / 2], [0, focal, (HEIGHT - 1) / 2], [0, 0, 1]])
    cameras = Cameras(intrinsics.expand(views, 3, 3), _as_default(poses), HEIGHT, COLUMNS)

    def normal(*shape: int) -> Tensor:
        return _as_default(rng.normal(size=shape))

    maps = SourceMaps(
        cameras,
        _as_default(rng.uniform(size=(views, 3, HEIGHT, COLUMNS))),
        normal(views, FEATURES, HEIGHT // 4, COLUMNS // 4).requires_grad_(learn),
        normal(views, CHANNELS, HEIGHT // 2, COLUMNS // 2).requires_grad_(learn),
        normal(views, FEATURES, HEIGHT // 4, COLUMNS // 4).requires_grad_(learn) if two else None,
    )
    pixels = torch.zeros(rays, 2, dtype=torch.int64)
    return Scene(Rays(normal(rays, 3) / 3, normal(rays, 3), pixels), maps, normal(rays, CHANNELS))


def _as_default(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array).to(torch.get_default_dtype())


def _rotation(rng: np.random.Generator) -> np.ndarray:
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return rotation * np.sign(np.linalg.det(rotation))


def network(seed: int = 0, dropout: float = 0.0, contrast: float = 1.5) -> RayTransformer:
    """A network that, with `contrast` above 1, tells samples and views apart more than a fresh one does."""
    torch.manual_seed(seed)
    made = RayTransformer(WIDTH, DEPTH, FEATURES, CHANNELS, dropout=dropout)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.mul_(contrast)
        for block in made.view_blocks:
            # Keys that differ more between views than queries weigh: otherwise a unit of the score MLP is on for all
            # views or for none, the queries have no effect, and their gradient is rounding noise.
            block.attention.key.weight.mul_(3)
            block.attention.value.weight.div_(3)
    return made


def render(renderer: RayRenderer, given: Scene, wanted: Wanted | None = None, seed: int = 0) -> list[RayOutput]:
    """The outputs of all passes, with jittered samples."""
    generator = torch.Generator().manual_seed(seed)
    wanted = given.everything if wanted is None else wanted
    return [x for x in renderer(given.rays, given.maps, NEAR, FAR, wanted, generator) if x is not None]


def seen(given: Scene, z: Tensor) -> Tensor:
    """Which views see the samples, [views, samples, rays]."""
    points = geometry.points_on_rays(given.rays, z).transpose(0, 1)
    return sample_sources(points, given.rays.origins, given.maps).mask


def drawn_evenly(z: Tensor, weights: Tensor, samples: int, inverse: bool, uniform: Tensor) -> Tensor:
    """Stands for `sampling.importance_depths`, with depths that rounding of the coarse weights does not move."""
    return z[:, :1] + (z[:, -1:] - z[:, :1]) * uniform


def tensors(output: RayOutput) -> dict[str, Tensor]:
    """What a pass renders, by name, without what is None."""
    return {name: value for name, value in vars(output).items() if value is not None}


def gradients(renderer: RayRenderer, given: Scene, outputs: list[RayOutput]) -> dict[str, Tensor]:
    """Of a random mixture of all outputs: for every parameter, and for the maps that learn."""
    generator = torch.Generator().manual_seed(5)
    learning = dict(renderer.named_parameters())
    maps = {name: value for name, value in vars(given.maps).items() if isinstance(value, Tensor)}
    learning |= {f"maps.{name}": value for name, value in maps.items() if value.requires_grad}
    total = torch.zeros(())
    for output in outputs:
        for name in ("rgb", "depth", "weights", "features", "guidance", "field"):
            value = getattr(output, name)
            probe = torch.randn(value.shape, generator=generator) if value is not None else None
            total = total if probe is None else total + (value * probe).sum()
    # Of every renderer the same outputs count, hence the same parameters learn.
    found = torch.autograd.grad(total, list(learning.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(learning, found, strict=True) if gradient is not None}
