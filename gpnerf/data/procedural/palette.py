"""Draws materials for parts: the same finishes serve many classes, and no two objects of a class in a room match."""

import colorsys

import numpy as np

from gpnerf.data.procedural.materials import Material

Colour = tuple[float, float, float]

_WOODS = ((0.55, 0.36, 0.20), (0.70, 0.52, 0.33), (0.42, 0.29, 0.20), (0.80, 0.67, 0.48), (0.50, 0.42, 0.34))
_LEAST_DIFFERENCE = 0.16
_TRIES = 12


class Palette:
    """The finishes of one room, drawn from its generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._used: dict[str, list[Colour]] = {}

    def distinct(self, category: str, *finishes: str) -> Material:
        """A material of one of the named finishes whose colour no object of this category in the room has yet."""
        used = self._used.setdefault(category, [])
        best, best_gap = None, -1.0
        for _ in range(_TRIES):
            candidate = self.draw(str(self.rng.choice(finishes)))
            gap = min((_difference(candidate.colour, other) for other in used), default=1.0)
            if gap > best_gap:
                best, best_gap = candidate, gap
            if gap >= _LEAST_DIFFERENCE:
                break
        assert best is not None
        used.append(best.colour)
        return best

    def draw(self, finish: str) -> Material:
        """A material of the finish: wood, fabric, lacquer, ceramic, metal, paint, tiles, planks, carpet, glass, art."""
        return getattr(self, f"_{finish}")()

    def _make(self, pattern: str, colour: Colour, contrast: float, scale: float, glow: float = 0.0) -> Material:
        shift = contrast * self.rng.choice((-1, 1)) + self.rng.normal(0, 0.015, 3)
        second = np.clip(np.array(colour) + shift, 0.03, 0.97)
        phase = (float(self.rng.uniform(0, 40)), float(self.rng.uniform(0, 40)))
        return Material(pattern, colour, _triple(second), scale, phase, glow)

    def _hue(self, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
        return colorsys.hsv_to_rgb(self.rng.random(), self.rng.uniform(*saturation), self.rng.uniform(*value))

    def _wood(self) -> Material:
        base = np.array(_WOODS[self.rng.integers(len(_WOODS))]) * self.rng.uniform(0.9, 1.2)
        colour = _triple(np.clip(base + self.rng.normal(0, 0.03, 3), 0.08, 0.9))
        return self._make("wood", colour, 0.07, self.rng.uniform(0.13, 0.25))

    def _planks(self) -> Material:
        wood = self._wood()
        return self._make("planks", wood.colour, 0.09, self.rng.uniform(0.18, 0.28))

    def _fabric(self) -> Material:
        pattern = str(self.rng.choice(("plain", "blotches", "stripes", "checks")))
        contrast = 0.05 if pattern == "plain" else 0.14
        return self._make(pattern, self._hue((0.08, 0.55), (0.3, 0.85)), contrast, self.rng.uniform(0.18, 0.4))

    def _carpet(self) -> Material:
        return self._make("blotches", self._hue((0.04, 0.28), (0.4, 0.75)), 0.08, self.rng.uniform(0.25, 0.6))

    def _lacquer(self) -> Material:
        colour = (
            self._hue((0.0, 0.12), (0.75, 0.95)) if self.rng.random() < 0.5 else self._hue((0.12, 0.5), (0.35, 0.8))
        )
        return self._make("plain", colour, 0.04, 0.4)

    def _ceramic(self) -> Material:
        return self._make("plain", self._hue((0.0, 0.10), (0.82, 0.95)), 0.03, 0.4)

    def _metal(self) -> Material:
        return self._make("plain", self._hue((0.0, 0.08), (0.35, 0.75)), 0.06, 0.3)

    def _paint(self) -> Material:
        pattern = str(self.rng.choice(("plain", "plain", "blotches", "stripes")))
        contrast = {"plain": 0.04, "blotches": 0.05, "stripes": 0.06}[pattern]
        return self._make(pattern, self._hue((0.03, 0.25), (0.65, 0.92)), contrast, self.rng.uniform(0.35, 0.8))

    def _tiles(self) -> Material:
        return self._make("tiles", self._hue((0.02, 0.25), (0.5, 0.92)), 0.11, self.rng.uniform(0.3, 0.5))

    def _glass(self) -> Material:
        return self._make("blotches", (0.72, 0.82, 0.92), 0.12, 0.8, glow=0.3)

    def _shade(self) -> Material:
        return self._make("plain", (0.97, 0.92, 0.78), 0.03, 0.3, glow=0.5)

    def _screen(self) -> Material:
        return self._make("blotches", (0.07, 0.08, 0.10), 0.03, 0.4)

    def _leaf(self) -> Material:
        return self._make("blotches", (0.18, self.rng.uniform(0.32, 0.5), 0.15), 0.10, 0.15)

    def _art(self) -> Material:
        first, second = self._hue((0.3, 0.8), (0.3, 0.9)), self._hue((0.3, 0.8), (0.3, 0.9))
        phase = (float(self.rng.uniform(0, 40)), float(self.rng.uniform(0, 40)))
        return Material("painting", first, second, self.rng.uniform(0.18, 0.3), phase)


def _triple(values: np.ndarray) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def _difference(a: Colour, b: Colour) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))
