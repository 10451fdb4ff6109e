"""Reads the source views' maps at points in space."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gpnerf import geometry
from gpnerf.structures import Cameras, Movable


@dataclass(frozen=True)
class SourceMaps(Movable):
    """Encoded source views: photos, colour features and semantic features, all covering the full image.

    `fine_colour` is the colour map of the fine pass where two networks are trained; None means `colour`.
    """

    cameras: Cameras
    images: Float[Tensor, "views 3 height width"]
    colour: Float[Tensor, "views features rows cols"]
    semantic: Float[Tensor, "views channels half_rows half_cols"] | None = None
    fine_colour: Float[Tensor, "views features rows cols"] | None = None


@dataclass(frozen=True)
class SampledSources:
    """What every source view says about every sample of every ray.

    `features`: RGB, then colour features; `mask`: in front of the camera and inside the image;
    `grid`: where the point lies in each view, in `grid_sample` coordinates.
    """

    features: Float[Tensor, "views samples rays features"]
    relative_directions: Float[Tensor, "views samples rays 4"]
    mask: Bool[Tensor, "views samples rays"]
    grid: Float[Tensor, "views samples rays 2"]
    semantic_maps: Float[Tensor, "views channels rows cols"] | None

    @property
    def shown(self) -> Float[Tensor, "views samples rays 4"]:
        """The photos' colours there, and 1; all zero where a view does not see the sample."""
        seen = self.mask[..., None].to(self.features.dtype)
        return torch.cat([self.features[..., :3] * seen, seen], dim=-1)

    def semantics(self, view: int) -> Float[Tensor, "channels samples rays"]:
        """Semantic features of one source view at every sample (channels first, as they are read)."""
        assert self.semantic_maps is not None
        return read_maps(self.semantic_maps[view : view + 1], self.grid[view : view + 1])[0]


def sample_sources(
    points: Float[Tensor, "samples rays 3"],
    origins: Float[Tensor, "rays 3"],
    maps: SourceMaps,
    fine: bool = False,
) -> SampledSources:
    """Project points into all source views and read photo and colour features bilinearly (zeros outside)."""
    cameras = maps.cameras
    pixels, in_front = geometry.project(points, cameras)
    grid = geometry.normalised_pixels(pixels, cameras.height, cameras.width)
    mask = in_front & geometry.inside_image(pixels, cameras.height, cameras.width)
    colour = maps.fine_colour if fine and maps.fine_colour is not None else maps.colour
    features = torch.cat([read_maps(maps.images, grid), read_maps(colour, grid)], dim=1)
    centres = cameras.cam_to_world[:, :3, 3].to(points.dtype)
    relative = geometry.relative_directions(points, origins, centres)
    return SampledSources(features.permute(0, 2, 3, 1), relative, mask, grid, maps.semantic)


def read_maps(
    maps: Float[Tensor, "views channels rows cols"], grid: Float[Tensor, "views samples rays 2"]
) -> Float[Tensor, "views channels samples rays"]:
    """Bilinear values at `grid_sample` coordinates, zero outside."""
    # The maps take the coordinates' type, never the other way round: bfloat16 cannot tell neighbouring pixels apart.
    return F.grid_sample(maps.to(grid.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=True)
