"""Materials of any palette and texture, for scenes that are to look like nothing in particular."""

import colorsys

import numpy as np

from gpnerf.data.procedural.materials import PATTERNS, Material

Colour = tuple[float, float, float]


def any_material(rng: np.random.Generator) -> Material:
    """Any pattern between any two colours; every third is nearly plain, as most surfaces are."""
    first, second = _colour(rng), _colour(rng)
    if rng.random() < 1 / 3:  # hardly a difference
        share = rng.uniform(0.03, 0.15)
        second = _mixed(first, second, share)
    scale = float(np.exp(rng.uniform(np.log(0.1), np.log(1.0))))
    phase = (float(rng.uniform(0, 40)), float(rng.uniform(0, 40)))
    return Material(str(rng.choice(list(PATTERNS))), first, second, scale, phase)


def lamp_material(rng: np.random.Generator) -> Material:
    """A glowing surface, white or of some colour."""
    colour = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.6), 0.97)
    return Material("plain", colour, colour, glow=0.5)


def _colour(rng: np.random.Generator) -> Colour:
    """Any hue; dark, pale and strong colours alike."""
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 1) ** 1.5, rng.uniform(0.05, 0.97))


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    r, g, b = ((1 - share) * x + share * y for x, y in zip(first, second, strict=True))
    return r, g, b
