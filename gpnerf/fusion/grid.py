"""Where the voxels of a volume are, and how much memory they take."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from gpnerf import geometry
from gpnerf.errors import UserError
from gpnerf.fusion.observation import Observation, Observations

_GIGABYTE = 10**9
# Signed distance and weight, and what marching cubes makes beside them: a contiguous copy and two masks.
_BYTES_PER_VOXEL = 4 + 4 + 4 + 2
_BOUNDS_STRIDE = 4  # every so many rows and columns are enough to find out how large a scene is


@dataclass(frozen=True)
class Grid:
    """Voxel centres `origin + voxel * (i, j, k)`, in metres, for indices below `shape`."""

    origin: tuple[float, float, float]
    shape: tuple[int, int, int]
    voxel: float

    @classmethod
    def around(cls, low: Float[Tensor, "3"], high: Float[Tensor, "3"], voxel: float, margin: float) -> "Grid":
        """The grid from `margin` metres below one corner to `margin` above the other."""
        origin = low.double() - margin
        x, y, z = (int(n) + 1 for n in ((high.double() + margin - origin) / voxel).ceil())
        first, second, third = origin.tolist()
        return cls((first, second, third), (x, y, z), voxel)

    @property
    def memory(self) -> float:
        """GB that fusing and meshing take."""
        x, y, z = self.shape
        return x * y * z * _BYTES_PER_VOXEL / _GIGABYTE

    def require_memory(self, budget: float) -> None:
        """Refuse a volume of more than `budget` GB, naming the voxel size that fits."""
        if self.memory <= budget:
            return
        fitting = self.voxel * (self.memory / budget) ** (1 / 3)
        size = " x ".join(f"{n * self.voxel:.1f}" for n in self.shape)
        raise UserError(
            f"--voxel {self.voxel:g}: expected a volume of at most {budget:g} GB (--memory_budget), found {size} m "
            f"of {self.memory:.1f} GB; try --voxel {fitting * 1.05:.2g}"
        )


def bounds(views: Observations) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """The lowest and highest corner (metres) of everything that the views see.

    Raises:
        UserError: no view has a known depth.
    """
    lows, highs = [], []
    for view in tqdm(views, desc="measure", unit="view"):
        points = _points(view)
        if len(points):
            lows.append(points.amin(0))
            highs.append(points.amax(0))
    if not lows:
        raise UserError(f"expected depth in the {len(views)} views, found none that is known; add depth files")
    return torch.stack(lows).amin(0), torch.stack(highs).amax(0)


def _points(view: Observation) -> Float[Tensor, "points 3"]:
    pixels = geometry.pixel_grid(view.camera.height, view.camera.width, _BOUNDS_STRIDE)
    depth = view.depth[pixels[:, 1], pixels[:, 0]]
    pixels, depth = pixels[depth > 0], depth[depth > 0]
    return geometry.points_on_rays(geometry.camera_rays(view.camera, pixels), depth[:, None])[:, 0]
