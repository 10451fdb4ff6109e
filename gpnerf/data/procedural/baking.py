"""Bakes colour times light into one texture per face, once a room."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int

from gpnerf.data.procedural.light import illuminate, occluders
from gpnerf.data.procedural.materials import Noise, albedo
from gpnerf.data.procedural.shapes import Item, Part
from gpnerf.data.procedural.solids import Solids, from_cube

_TEXEL = 0.03
_LIGHT_TEXEL = 0.09
_FACES = 6


@dataclass(frozen=True)
class Textures:
    """RGB texels of all faces in one list: face f of solid k has `sizes[k, f]` (rows, columns) at `offsets[k, f]`."""

    texels: Float[np.ndarray, "texels 3"]
    offsets: Int[np.ndarray, "solids 6"]
    sizes: Int[np.ndarray, "solids 6 2"]

    def sample(
        self, solid: Int[np.ndarray, "points"], face: Int[np.ndarray, "points"], uv: Float[np.ndarray, "points 2"]
    ) -> Float[np.ndarray, "points 3"]:
        """Colours at texture coordinates in [0, 1], bilinear between texel centres."""
        size = self.sizes[solid, face]
        at = np.clip(uv[:, ::-1] * size - 0.5, 0, size - 1)
        low = np.minimum(at.astype(np.int64), np.maximum(size - 2, 0))
        part = (at - low).astype(np.float32)
        base = self.offsets[solid, face] + low[:, 0] * size[:, 1] + low[:, 1]
        (fv, fu), across, down = part.T[..., None], np.minimum(size[:, 1] - 1, 1), np.minimum(size[:, 0] - 1, 1)
        down = down * size[:, 1]
        top = self.texels[base] * (1 - fu) + self.texels[base + across] * fu
        bottom = self.texels[base + down] * (1 - fu) + self.texels[base + down + across] * fu
        return top * (1 - fv) + bottom * fv


def bake(
    solids: Solids,
    parts: Sequence[Part],
    shell: Sequence[Part],
    owners: Int[np.ndarray, "solids"],
    items: Sequence[Item],
    rng: np.random.Generator,
) -> Textures:
    """Light every face on a coarse grid, then multiply with its material on a fine one.

    `shell` holds the six parts whose materials dress the six faces of solid 0, the room, which is seen from inside.
    """
    fine, coarse = _grid(solids, _TEXEL), _grid(solids, _LIGHT_TEXEL)
    light = _expose(_light(solids, parts, owners, items, coarse), coarse, rng)
    noise = Noise(rng)
    texels, at = [], 0
    for k in range(len(parts)):
        for face in range(_FACES):
            uv = _uv(fine[k, face])
            count = int(coarse[k, face].prod())
            patch = light[at : at + count].reshape(*coarse[k, face], 3)
            at += count
            smooth = cv2.resize(patch, fine[k, face, ::-1].tolist(), interpolation=cv2.INTER_LINEAR).reshape(-1, 3)
            part = shell[face] if k == 0 else parts[k]
            colour = _colour(part, solids.halves[k], face, uv, noise)
            texels.append(np.clip(colour * (smooth + part.material.glow), 0, 1))
    counts = fine.prod(-1)
    offsets = (np.cumsum(counts) - counts.ravel()).reshape(counts.shape)
    return Textures(np.concatenate(texels).astype(np.float32), offsets, fine)


def _grid(solids: Solids, texel: float) -> Int[np.ndarray, "solids 6 2"]:
    """Rows and columns of every face: its second and first in-plane length divided by the texel size, at least two."""
    lengths = 2 * solids.halves
    sizes = [(lengths[:, (f // 2 + 2) % 3], lengths[:, (f // 2 + 1) % 3]) for f in range(_FACES)]
    return np.maximum(np.ceil(np.array(sizes).transpose(2, 0, 1) / texel), 2).astype(np.int64)


def _uv(size: Int[np.ndarray, "2"]) -> Float[np.ndarray, "points 2"]:
    """Texture coordinates of the texel centres of a (rows, columns) grid."""
    rows, columns = size
    u, v = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    return np.stack(np.broadcast_arrays(u[None], v[:, None]), -1).reshape(-1, 2).astype(np.float32)


def _light(
    solids: Solids, parts: Sequence[Part], owners: np.ndarray, items: Sequence[Item], grid: np.ndarray
) -> Float[np.ndarray, "points 3"]:
    points, normals, owner = [], [], []
    for k in range(len(parts)):
        for face in range(_FACES):
            local, normal = from_cube(solids.shapes[k], face, _uv(grid[k, face]))
            outward = (normal / solids.halves[k]) @ solids.rotations[k].T * (-1 if k == 0 else 1)
            points.append(local * solids.halves[k] @ solids.rotations[k].T + solids.centres[k])
            normals.append(outward / np.linalg.norm(outward, axis=1, keepdims=True))
            owner.append(np.full(len(local), owners[k]))
    lamps = [part for part in parts if part.power > 0]
    at, up = np.concatenate(points).T.astype(np.float32), np.concatenate(normals).T.astype(np.float32)
    scene = occluders(solids, owners, items)
    return illuminate(scene, lamps, np.ascontiguousarray(at), np.ascontiguousarray(up), np.concatenate(owner))


def _expose(light: np.ndarray, grid: np.ndarray, rng: np.random.Generator) -> Float[np.ndarray, "points 3"]:
    """Scale so that walls are well lit, and bend the bright end like film does."""
    room = light[: int(grid[0].prod(-1).sum())]
    level = rng.uniform(0.95, 1.3) / max(float(np.median(room)), 1e-3)
    return (1.08 * (1 - np.exp(-level * light))).astype(np.float32)


def _colour(part: Part, half: np.ndarray, face: int, uv: np.ndarray, noise: Noise) -> Float[np.ndarray, "points 3"]:
    """The part's material on one face; its grain follows the longest side."""
    axes = ((face // 2 + 1) % 3, (face // 2 + 2) % 3)
    metres = (2 * uv - 1) * half[list(axes)] + 7.3 * face
    along = 0 if half[axes[0]] >= half[axes[1]] else 1
    return albedo(part.material, metres[:, along], metres[:, 1 - along], noise)
