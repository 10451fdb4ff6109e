"""From the observations of a scene to its surface with colours, classes and instances."""

from dataclasses import dataclass

import torch
from tqdm import tqdm

from gpnerf.errors import UserError
from gpnerf.fusion.grid import Grid, bounds
from gpnerf.fusion.observation import Observations
from gpnerf.fusion.surface import Surface, extract_surface
from gpnerf.fusion.volume import Volume
from gpnerf.fusion.votes import Appearance, collect_votes


@dataclass(frozen=True)
class FusionSettings:
    """Edge of a voxel (metres), how many voxels before and behind a surface a depth map counts, the smallest piece that
    is kept (triangles), and GB to fill."""

    voxel: float
    truncation: float
    smallest_piece: int
    memory_budget: float


def reconstruct(views: Observations, settings: FusionSettings) -> tuple[Surface, Appearance]:
    """The surface that the views' depth maps agree on, and how its vertices look.

    What no view sees from its front is left out: marching cubes closes the volume behind edges too.

    Raises:
        UserError: no known depth, no surface, or a volume larger than the memory budget.
    """
    truncation = settings.truncation * settings.voxel
    grid = Grid.around(*bounds(views), settings.voxel, margin=truncation)
    grid.require_memory(settings.memory_budget)
    volume = Volume(grid, truncation)
    for view in tqdm(views, desc="fuse", unit="view"):
        volume.integrate(view.camera, view.depth)
    surface = extract_surface(volume)
    looks = collect_votes(surface, views, truncation, settings.memory_budget)
    surface, used = surface.cut(looks.seen.numpy())
    looks = looks.keep(torch.from_numpy(used))
    whole, used = surface.cut(surface.in_large_pieces(settings.smallest_piece))
    if not len(whole.faces):
        raise UserError(
            f"--smallest_piece {settings.smallest_piece}: expected a piece of so many triangles, found none among "
            f"{len(surface.faces)} triangles; lower it, or take larger voxels with --voxel"
        )
    return whole, looks.keep(torch.from_numpy(used))
