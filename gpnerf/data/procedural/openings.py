"""What hangs on walls and ceilings or lies on the floor: doors, windows, curtains, pictures, lamps, plants, rugs."""

from gpnerf.data.procedural.palette import Palette
from gpnerf.data.procedural.shapes import Item, Part, Piece, Shape, block


def door(palette: Palette) -> Piece:
    """A door in its frame, with panels and a handle; its back lies on the wall."""
    rng = palette.rng
    w, h = rng.uniform(0.8, 0.92), rng.uniform(1.98, 2.08)
    leaf, frame = palette.distinct("door", "wood", "lacquer"), palette.draw("wood")
    trim = palette.draw("lacquer") if rng.random() < 0.3 else leaf
    parts = [
        *(block((i * (w / 2 + 0.04), -0.04, 0), (0.08, 0.08, h + 0.08), frame) for i in (-1, 1)),
        block((0, -0.04, h), (w, 0.08, 0.08), frame),
        block((0, -0.02, 0), (w, 0.04, h), leaf),
        *(block((0, -0.045, z), (w - 0.26, 0.02, 0.36 * h), trim) for z in (0.12 * h, 0.55 * h)),
        block((rng.choice((-1, 1)) * (w / 2 - 0.08), -0.07, 1.0), (0.12, 0.06, 0.035), palette.draw("metal")),
    ]
    return Piece((Item("door", tuple(parts)),))


def window(palette: Palette, *, curtain: bool = True, small: bool = False) -> Piece:
    """A bright window with frame, cross bars and sill; curtains hang at its sides to the floor or to the sill.

    A small one sits high in the wall, as in bathrooms.
    """
    rng = palette.rng
    if small:
        w, h, low = rng.uniform(0.6, 0.8), rng.uniform(0.5, 0.7), rng.uniform(1.35, 1.45)
    else:
        w, h, low = rng.uniform(1.0, 1.6), rng.uniform(1.0, 1.25), rng.uniform(0.85, 0.95)
    frame = palette.distinct("window", "wood", "lacquer", "ceramic")
    parts = [
        block((0, -0.015, low), (w, 0.03, h), palette.draw("glass"), power=1.6),
        *(block((i * (w / 2 + 0.03), -0.03, low - 0.06), (0.06, 0.06, h + 0.12), frame) for i in (-1, 1)),
        *(block((0, -0.03, z), (w, 0.06, 0.06), frame) for z in (low - 0.06, low + h)),
        block((0, -0.03, low), (0.05, 0.05, h), frame),
        block((0, -0.07, low - 0.1), (w + 0.12, 0.14, 0.04), frame),
    ]
    items = [Item("window", tuple(parts))]
    if curtain:
        items.append(_curtains(palette, w, low + h + 0.12, 0.05 if rng.random() < 0.5 else low - 0.2))
    return Piece(tuple(items))


def _curtains(palette: Palette, width: float, top: float, low: float) -> Item:
    cloth, pleat, count = palette.distinct("curtain", "fabric"), 0.09, int(palette.rng.integers(4, 7))
    span = width + 2 * 0.06 + 1.6 * count * pleat
    metal = palette.draw("metal")
    parts: list[Part] = [block((0, -0.2, top), (span, 0.03, 0.03), metal)]
    parts += [block((i * (span / 2 - 0.015), -0.0925, top), (0.03, 0.185, 0.03), metal) for i in (-1, 1)]
    for side in (-1, 1):
        for k in range(count):
            x = side * (width / 2 + 0.8 * count * pleat + 0.06 - (k + 0.5) * pleat)
            parts.append(block((x, -0.2, low), (1.3 * pleat, 0.06, top - low), cloth, Shape.CYLINDER))
    return Item("curtain", tuple(parts))


def picture(palette: Palette) -> Piece:
    """A framed picture."""
    rng = palette.rng
    w, h = rng.uniform(0.45, 0.95), rng.uniform(0.4, 0.75)
    return Piece((Item("picture", tuple(_framed(palette, w, h, "art"))),))


def mirror(palette: Palette) -> Piece:
    """A framed mirror, painted a flat grey: everything in these rooms is matt."""
    return Piece((Item("mirror", tuple(_framed(palette, palette.rng.uniform(0.45, 0.6), 0.75, "metal"))),))


def whiteboard(palette: Palette) -> Piece:
    """A writing board."""
    return Piece((Item("whiteboard", tuple(_framed(palette, palette.rng.uniform(1.2, 1.7), 0.95, "ceramic"))),))


def _framed(palette: Palette, w: float, h: float, finish: str) -> list[Part]:
    frame = palette.distinct("picture", "wood", "metal", "lacquer")
    return [
        block((0, -0.01, 0.02), (w - 0.04, 0.02, h - 0.04), palette.draw(finish)),
        *(block((i * (w / 2 - 0.025), -0.02, 0), (0.05, 0.04, h), frame) for i in (-1, 1)),
        *(block((0, -0.02, z), (w - 0.1, 0.04, 0.05), frame) for z in (0.0, h - 0.05)),
    ]


def towel(palette: Palette) -> Piece:
    """A towel on a rail."""
    cloth = palette.distinct("towel", "fabric")
    rail = block((0, -0.06, 0.62), (0.6, 0.03, 0.03), palette.draw("metal"))
    return Piece((Item("towel", (rail, block((0, -0.06, 0.0), (0.42, 0.05, 0.66), cloth))),))


def floor_lamp(palette: Palette) -> Piece:
    """A standing lamp."""
    metal, h = palette.draw("metal"), palette.rng.uniform(1.4, 1.65)
    parts = [
        block((0, 0, 0), (0.28, 0.28, 0.03), metal, Shape.CYLINDER),
        block((0, 0, 0.03), (0.04, 0.04, h - 0.25), metal, Shape.CYLINDER),
        block((0, 0, h - 0.25), (0.36, 0.36, 0.26), palette.draw("shade"), Shape.CYLINDER, power=0.6),
    ]
    return Piece((Item("lamp", tuple(parts)),))


def ceiling_lamp(palette: Palette) -> Piece:
    """A round lamp whose upper face is at z = 0, to hang from the ceiling."""
    parts = [
        block((0, 0, -0.04), (0.14, 0.14, 0.04), palette.draw("metal"), Shape.CYLINDER),
        block((0, 0, -0.16), (0.45, 0.45, 0.12), palette.draw("shade"), Shape.CYLINDER, power=1.5),
    ]
    return Piece((Item("lamp", tuple(parts)),))


def plant(palette: Palette) -> Piece:
    """A large pot plant."""
    pot, leaf, h = palette.distinct("plant", "ceramic", "lacquer", "wood"), palette.draw("leaf"), 0.34
    crown = [
        block((x, y, h + z), (s, s, 0.9 * s), leaf, Shape.ELLIPSOID)
        for x, y, z, s in ((0, 0, 0.1, 0.5), (0.12, 0.05, 0.4, 0.36), (-0.1, -0.06, 0.3, 0.34))
    ]
    stem = block((0, 0, h), (0.05, 0.05, 0.3), palette.draw("wood"), Shape.CYLINDER)
    return Piece((Item("plant", (block((0, 0, 0), (0.34, 0.34, h), pot, Shape.CYLINDER), stem, *crown)),))


def rug(palette: Palette) -> Piece:
    """A flat rug."""
    size = (palette.rng.uniform(1.3, 1.9), palette.rng.uniform(0.9, 1.3), 0.012)
    return Piece((Item("rug", (block((0, 0, 0), size, palette.distinct("rug", "fabric", "carpet")),)),))
