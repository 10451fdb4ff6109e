"""Places the furniture of a room: against walls, in the middle, on walls, never through another thing."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from gpnerf.data.procedural.shapes import Item, Piece, rotation

Vector = Float[np.ndarray, "3"]
Bounds = tuple[Vector, Vector]

_GAP = 0.03
_TRIES = 150


@dataclass(frozen=True)
class Zone:
    """An axis-aligned box (metres); `solid` is False for space that is only kept free, as before a door."""

    low: Vector
    high: Vector
    solid: bool = True

    def meets(self, other: "Zone") -> bool:
        return bool(((self.low < other.high) & (other.low < self.high)).all())


@dataclass
class Plan:
    """An empty room of `size` (x, y, z metres; floor at z = 0, centred on the origin) that fills up piece by piece."""

    size: Vector
    rng: np.random.Generator
    items: list[Item] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)

    def against_wall(self, piece: Piece, *, height: float = 0.0, keep_free: float = 0.0) -> bool:
        """Put the back of a piece on some wall, its local z = 0 at `height`; False if there is no room.

        The space up to `keep_free` metres before it stays empty.
        """
        bounds = piece.bounds()
        low, high = bounds
        for _ in range(_TRIES):
            wall = int(self.rng.integers(4))
            along, across = self.size[[wall % 2, 1 - wall % 2]]
            slack = along - (high[0] - low[0]) - 2 * _GAP
            # Corners are favoured, as people do.
            share = self.rng.choice((0.0, 1.0)) if self.rng.random() < 0.3 else self.rng.random()
            x = -along / 2 + _GAP - low[0] + share * slack
            stand_off = 0.0 if height > 0 or high[1] == 0 else 0.01
            yaw = -wall * np.pi / 2
            shift = rotation(yaw) @ np.array([x, across / 2 - high[1] - stand_off, height])
            if slack >= 0 and self._claim(bounds, yaw, shift, keep_free, _GAP):
                self.items.extend(piece.moved(yaw, shift).items)
                return True
        return False

    def free_standing(self, piece: Piece, *, reach: float, height: float = 0.0, margin: float = 0.3) -> bool:
        """Put a piece within `reach` (a share of the half size) of the middle; `margin` metres around it stay clear."""
        bounds = piece.bounds()
        for _ in range(_TRIES):
            yaw = float(self.rng.integers(4)) * np.pi / 2
            low, high = _turned(bounds, yaw)
            span = np.maximum(self.size[:2] / 2 - np.maximum(-low, high)[:2] - 0.1, 0) * reach
            shift = np.array([*self.rng.uniform(-span, span), height])
            if self._claim(bounds, yaw, shift, 0.0, margin):
                self.items.extend(piece.moved(yaw, shift).items)
                return True
        return False

    def _claim(self, bounds: Bounds, yaw: float, shift: Vector, keep_free: float, margin: float) -> bool:
        """Reserve the space of a piece with these bounds, unless it is taken or outside the room."""
        low, high = (corner + shift for corner in _turned(bounds, yaw))
        if (np.maximum(-low, high)[:2] > self.size[:2] / 2 + 1e-6).any() or high[2] > self.size[2] + 1e-6:
            return False
        pad = np.array([margin, margin, 0.0])
        around = Zone(low - pad, high + pad)
        if any(around.meets(zone) for zone in self.zones):
            return False
        body = Zone(low, high)
        if keep_free:
            front = _front(body, keep_free, yaw)
            if any(front.meets(zone) for zone in self.zones if zone.solid):
                return False
            self.zones.append(front)
        self.zones.append(body)
        return True


def _turned(bounds: Bounds, yaw: float) -> Bounds:
    """The bounds after a turn by a multiple of 90 degrees."""
    one, other = (rotation(yaw) @ corner for corner in bounds)
    return np.minimum(one, other), np.maximum(one, other)


def _front(body: Zone, keep_free: float, yaw: float) -> Zone:
    """The space before a piece whose front looks along -y turned by `yaw`."""
    ahead = keep_free * np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    low, high = np.minimum(body.low, body.low + ahead), np.maximum(body.high, body.high + ahead)
    return Zone(low, high, solid=False)
