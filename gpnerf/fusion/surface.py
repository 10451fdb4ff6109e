"""The surface of a fused volume as a triangle mesh (marching cubes; Lewiner et al., 2003)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gpnerf.errors import UserError
from gpnerf.fusion.volume import Volume


@dataclass(frozen=True)
class Surface:
    """Triangles whose corners run anticlockwise as seen from free space, where unit `normals` point too; metres."""

    vertices: Float[np.ndarray, "vertices 3"]
    normals: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]

    def cut(self, kept: Bool[np.ndarray, "vertices"]) -> tuple["Surface", Bool[np.ndarray, "vertices"]]:
        """The triangles of which every corner is kept, and the mask of the vertices that they use."""
        faces = self.faces[kept[self.faces].all(axis=1)]
        used = np.zeros(len(self.vertices), dtype=bool)
        used[faces] = True
        places = np.cumsum(used) - 1
        return Surface(self.vertices[used], self.normals[used], places[faces]), used

    def in_large_pieces(self, triangles: int) -> Bool[np.ndarray, "vertices"]:
        """The vertices of connected pieces of at least so many triangles."""
        count, (a, b, c) = len(self.vertices), self.faces.T
        edges = coo_array((np.ones(2 * len(a), bool), (np.r_[a, b], np.r_[b, c])), shape=(count, count))
        _, piece = connected_components(edges, directed=False)
        return (np.bincount(piece[a], minlength=count) >= triangles)[piece]


def extract_surface(volume: Volume) -> Surface:
    """Where the signed distance crosses 0, between voxels that views have seen.

    Raises:
        UserError: it does so nowhere, or scikit-image is not installed.
    """
    from skimage.measure import marching_cubes  # an extra, which only this needs

    distance, cells = volume.distance.numpy(), _known_cells(volume.weight.numpy() > 0)
    if not ((distance < 0)[1:, 1:, 1:] & cells[1:, 1:, 1:]).any():
        raise UserError(
            f"--voxel {volume.grid.voxel:g}: expected a surface, found none that the depth maps agree on; check poses "
            "and depth, or take larger voxels"
        )
    vertices, faces, normals, _ = marching_cubes(
        distance,
        0.0,
        spacing=(volume.grid.voxel,) * 3,
        mask=cells,
        gradient_direction="descent",
        allow_degenerate=False,
    )
    # The library's normals point to falling values, into the solid.
    return Surface(vertices + np.array(volume.grid.origin, np.float32), -normals, faces)


def _known_cells(known: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """The cubes between voxels of which all eight corners are known, each at its highest corner's place."""
    for axis in range(3):
        known = known & np.roll(known, 1, axis)
        known[(slice(None),) * axis + (0,)] = False
    return known
