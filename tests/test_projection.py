"""Reading the source maps: the right pixel, whatever the type of the maps."""

import pytest
import torch

from gpnerf.geometry import camera_rays, pixel_grid, points_on_rays
from gpnerf.models.projection import SourceMaps, sample_sources
from gpnerf.structures import Cameras

HEIGHT, WIDTH = 4, 320


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_pixel_reads_its_own_value(dtype: torch.dtype) -> None:
    """A chessboard as image, colour and semantic map: coordinates rounded to bfloat16 would read neighbours."""
    intrinsics = torch.tensor([[300.0, 0, 160], [0, 300, 2], [0, 0, 1]])
    cameras = Cameras(intrinsics[None], torch.eye(4)[None], HEIGHT, WIDTH)
    camera = Cameras(intrinsics, torch.eye(4), HEIGHT, WIDTH)
    pixels = pixel_grid(HEIGHT, WIDTH)
    board = ((pixels[:, 0] + pixels[:, 1]) % 2).float().reshape(1, 1, HEIGHT, WIDTH)
    maps = SourceMaps(cameras, board.expand(1, 3, -1, -1), board.to(dtype), board.to(dtype))
    rays = camera_rays(camera, pixels)
    points = points_on_rays(rays, torch.full((len(pixels), 1), 2.0)).transpose(0, 1)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        sources = sample_sources(points, rays.origins, maps)
        semantic = sources.semantics(0)
    expected = board.flatten()
    inner = (pixels[:, 0] % (WIDTH - 1) > 0) & (pixels[:, 1] % (HEIGHT - 1) > 0)  # borders may fall outside by rounding
    for read in (sources.features[0, 0, :, 0], sources.features[0, 0, :, 3], semantic[0, 0]):
        assert torch.allclose(read[inner], expected[inner], atol=1e-3)
