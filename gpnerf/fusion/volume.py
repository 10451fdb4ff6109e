"""A truncated signed distance volume that depth maps are fused into (Curless and Levoy, SIGGRAPH 1996)."""

import torch
from jaxtyping import Float
from torch import Tensor

from gpnerf.fusion.grid import Grid
from gpnerf.fusion.reading import read_depth
from gpnerf.structures import Cameras

_SLAB = 2**18  # voxels that are handled at a time; more do not stay in the caches
_SMALLEST_DEPTH = 0.01


class Volume:
    """Signed distances along viewing rays, in units of `truncation` metres: 1 in free space, 0 on surfaces, negative
    behind them, unknown (weight 0) farther behind.

    A view counts with 1 / depth^2, as the area that its pixel covers grows with depth^2.
    """

    def __init__(self, grid: Grid, truncation: float) -> None:
        self.grid = grid
        self.truncation = truncation
        self.distance: Float[Tensor, "x y z"] = torch.ones(grid.shape)
        self.weight: Float[Tensor, "x y z"] = torch.zeros(grid.shape)

    def integrate(self, camera: Cameras, depth: Float[Tensor, "height width"]) -> None:
        """Fuse a depth map (metres along the camera axis, 0 where unknown)."""
        rows = max(1, _SLAB // (self.grid.shape[1] * self.grid.shape[2]))
        world_to_camera = torch.linalg.inv(camera.cam_to_world.double())[:3]
        to_pixel = camera.intrinsics.double() @ world_to_camera
        for start in range(0, self.grid.shape[0], rows):
            self._integrate(slice(start, start + rows), to_pixel, depth)

    def _integrate(self, part: slice, to_pixel: Float[Tensor, "3 4"], depth: Float[Tensor, "height width"]) -> None:
        """Fuse into some planes of voxels."""
        distance, weight = self.distance[part].view(-1), self.weight[part].view(-1)
        height, width = depth.shape
        x, y, z = (self._projected(part, row) for row in to_pixel)
        u, v = x / z, y / z
        seen = (z > _SMALLEST_DEPTH) & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
        place = seen.flatten().nonzero()[:, 0]
        u, v, z = (values.flatten()[place] for values in (u, v, z))
        found = read_depth(depth, torch.stack([u, v], dim=-1))
        signed = (found - z) / self.truncation
        near = (found > 0) & (signed > -1)
        place, signed, added = place[near], signed[near].clamp(max=1), z[near] ** -2
        total = weight[place] + added
        distance[place] += (signed - distance[place]) * added / total
        weight[place] = total

    def _projected(self, part: slice, row: Float[Tensor, "4"]) -> Float[Tensor, "x y z"]:
        """A row of a 3x4 matrix times every voxel centre, axis by axis."""
        terms = [
            row[axis] * (self.grid.origin[axis] + self.grid.voxel * torch.arange(count))
            for axis, count in enumerate(self.grid.shape)
        ]
        x, y, z = (term.float() for term in (terms[0][part] + row[3], terms[1], terms[2]))
        return x[:, None, None] + y[:, None] + z
