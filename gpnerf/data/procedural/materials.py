"""Surface materials: smooth, band-limited patterns on metric surface coordinates, shared between all classes.

The smallest wavelength is about 0.12 m, which a 160-pixel wide view of a room still samples without aliasing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Texels = Float[np.ndarray, "texels"]


@dataclass(frozen=True)
class Material:
    """A pattern between two colours (RGB in [0, 1]); `scale` in metres; `glow` adds to the light that falls on it."""

    pattern: str
    colour: tuple[float, float, float]
    second: tuple[float, float, float]
    scale: float = 0.3
    phase: tuple[float, float] = (0.0, 0.0)
    glow: float = 0.0


class Noise:
    """Smooth value noise in [0, 1] on a periodic lattice, one lattice a room."""

    def __init__(self, rng: np.random.Generator, cells: int = 64) -> None:
        self._lattice = rng.random((cells, cells), dtype=np.float32)

    def __call__(self, x: Texels, y: Texels) -> Texels:
        cells = len(self._lattice)
        ix, iy = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
        fx, fy = x - ix, y - iy
        fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
        x0, x1, y0, y1 = ix % cells, (ix + 1) % cells, iy % cells, (iy + 1) % cells
        top = self._lattice[y0, x0] * (1 - fx) + self._lattice[y0, x1] * fx
        bottom = self._lattice[y1, x0] * (1 - fx) + self._lattice[y1, x1] * fx
        return top * (1 - fy) + bottom * fy


def albedo(material: Material, along: Texels, across: Texels, noise: Noise) -> Float[np.ndarray, "texels 3"]:
    """Colour of surface points at (`along`, `across`) metres; `along` follows the longest side of the part."""
    along, across = along + material.phase[0], across + material.phase[1]
    mix = PATTERNS[material.pattern](along, across, material.scale, noise)
    first, second = np.array([material.colour, material.second], dtype=np.float32)
    return first + (second - first) * mix[:, None]


def _plain(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    return noise(a / scale, b / scale)


def _blotches(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    coarse = noise(a / scale, b / scale)
    return _soft_step(0.65 * coarse + 0.35 * noise(2 * a / scale + 9.1, 2 * b / scale + 3.7), 0.25)


def _wood(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    rings = b / scale + 1.5 * noise(a / 0.9, b / 0.35)
    return 0.5 + 0.5 * np.sin(2 * np.pi * rings) * (0.4 + 0.6 * noise(a / 0.5 + 5.3, b / 0.25))


def _planks(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    row = np.floor(b / scale)
    tone = noise(np.floor(a / (6 * scale) + 0.37 * row) * 7.0, row * 5.0)
    return 0.65 * tone + 0.35 * _wood(a, b, max(0.6 * scale, 0.12), noise)


def _stripes(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    return _soft_step(0.5 + 0.5 * np.sin(2 * np.pi * b / scale), 0.5) + 0 * noise(a, b)


def _checks(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    product = np.sin(2 * np.pi * a / scale) * np.sin(2 * np.pi * b / scale)
    return _soft_step(0.5 + 0.5 * product, 0.6)


def _tiles(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    u, v = a / scale, b / scale
    tone = noise(np.floor(u) * 3.0, np.floor(v) * 5.0)
    edge = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v))) * scale
    joint = np.clip(1 - edge / 0.04, 0, 1)
    return 0.45 * tone * (1 - joint) + joint


def _fractal(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    octaves = [noise(2**k * a / scale + 3.1 * k, 2**k * b / scale + 7.7 * k) / 2**k for k in range(4)]
    return np.clip(1.6 * (sum(octaves[1:], octaves[0]) / 1.875 - 0.5) + 0.5, 0, 1)


def _painting(a: Texels, b: Texels, scale: float, noise: Noise) -> Texels:
    return _soft_step(noise(a / scale, b / scale), 0.12)


def _soft_step(value: Texels, width: float) -> Texels:
    ramp = np.clip((value - 0.5) / width + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


PATTERNS: dict[str, Callable[[Texels, Texels, float, Noise], Texels]] = {
    "plain": _plain,
    "blotches": _blotches,
    "wood": _wood,
    "planks": _planks,
    "stripes": _stripes,
    "checks": _checks,
    "tiles": _tiles,
    "painting": _painting,
    "fractal": _fractal,
}
