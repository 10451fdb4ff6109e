"""Cabinets, shelves, kitchen and bathroom fixtures."""

from functools import partial

from gpnerf.data.procedural.materials import Material
from gpnerf.data.procedural.palette import Palette
from gpnerf.data.procedural.shapes import Item, Part, Piece, Shape, Triple, block


def cupboard(palette: Palette, category: str = "cabinet") -> Piece:
    """A cabinet, wardrobe or file cabinet: plinth, body, proud fronts and handles."""
    rng = palette.rng
    sizes = {
        "wardrobe": ((1.0, 1.5), (0.56, 0.62), (1.85, 2.1)),
        "file cabinet": ((0.44, 0.5), (0.5, 0.6), (1.0, 1.35)),
    }
    w, d, h = (rng.uniform(*r) for r in sizes.get(category, ((0.8, 1.3), (0.4, 0.5), (0.75, 1.15))))
    body = palette.distinct(category, "wood", "wood", "lacquer", "metal" if category == "file cabinet" else "lacquer")
    grid = {"wardrobe": (2, 1), "file cabinet": (1, 4)}.get(category, (2, int(rng.integers(1, 3))))
    parts = [block((0, 0.02, 0), (w - 0.06, d - 0.06, 0.08), palette.draw("metal"))]
    parts += [block((0, 0, 0.08), (w, d, h - 0.08), body), *_fronts(palette, body, (w, d, h), grid)]
    items = [Item(category, tuple(parts))]
    if category == "cabinet" and rng.random() < 0.5:
        items.append(Item("lamp", tuple(_table_lamp(palette, rng.uniform(-0.2, 0.2), h))))
    return Piece(tuple(items))


def _fronts(palette: Palette, body: Material, size: Triple, grid: tuple[int, int], low: float = 0.08) -> list[Part]:
    """Doors or drawers: `grid` columns x rows of panels on the front of a body whose lower edge is at `low`."""
    (w, d, h), (columns, rows) = size, grid
    handle, parts = palette.draw("metal"), []
    panel = body if palette.rng.random() < 0.75 else palette.draw("lacquer")
    cw, ch = w / columns, (h - low) / rows
    for i in range(columns):
        for j in range(rows):
            x, z = (i + 0.5) * cw - w / 2, low + j * ch
            parts.append(block((x, -d / 2 - 0.01, z + 0.015), (cw - 0.03, 0.025, ch - 0.03), panel))
            inner = x + (0.35 if i % 2 == 0 else -0.35) * cw if columns > 1 else x
            bar = (0.03, 0.03, min(0.2, 0.5 * ch)) if columns > 1 else (0.16, 0.03, 0.03)
            parts.append(block((inner, -d / 2 - 0.035, z + 0.5 * ch - bar[2] / 2), bar, handle))
    return parts


def _table_lamp(palette: Palette, x: float, z: float) -> list[Part]:
    return [
        block((x, 0, z), (0.14, 0.14, 0.22), palette.draw("ceramic"), Shape.CYLINDER),
        block((x, 0, z + 0.22), (0.28, 0.28, 0.22), palette.draw("shade"), Shape.CYLINDER, power=0.35),
    ]


def night_stand(palette: Palette) -> Piece:
    """A bedside cabinet, mostly with a lamp on it."""
    body = palette.distinct("night stand", "wood", "lacquer")
    w, d, h = 0.46, 0.4, palette.rng.uniform(0.45, 0.58)
    parts = [block((0, 0, 0), (w, d, h), body), *_fronts(palette, body, (w, d, h), (1, 2), low=0.0)]
    items = [Item("night stand", tuple(parts))]
    if palette.rng.random() < 0.75:
        items.append(Item("lamp", tuple(_table_lamp(palette, 0.0, h))))
    return Piece(tuple(items))


def bookshelf(palette: Palette) -> Piece:
    """Open shelves filled with blocks of books."""
    rng = palette.rng
    wood = palette.distinct("bookshelf", "wood", "wood", "lacquer")
    w, d, h = rng.uniform(0.8, 1.2), rng.uniform(0.28, 0.34), rng.uniform(1.4, 2.05)
    rows = int(h / 0.36)
    step = (h - 0.06) / rows
    parts = [block((i * (w / 2 - 0.02), 0, 0), (0.04, d, h), wood) for i in (-1, 1)]
    parts.append(block((0, d / 2 - 0.01, 0.02), (w - 0.08, 0.02, h - 0.04), wood))
    parts += [block((0, -0.01, 0.03 + k * step - 0.015), (w - 0.08, d - 0.02, 0.03), wood) for k in range(rows + 1)]
    for k in range(rows):
        x = -w / 2 + 0.06
        while x < w / 2 - 0.2:
            width = min(rng.uniform(0.10, 0.3), w / 2 - 0.06 - x)
            if rng.random() < 0.85:
                size = (width - 0.005, rng.uniform(0.16, 0.22), rng.uniform(0.6, 0.85) * (step - 0.03))
                cover = palette.draw(str(rng.choice(("lacquer", "fabric", "wood"))))
                parts.append(block((x + width / 2, 0.02, 0.045 + k * step), size, cover))
            x += width
    return Piece((Item("bookshelf", tuple(parts)),))


def tv_stand(palette: Palette) -> Piece:
    """A low board with a television."""
    rng = palette.rng
    body = palette.distinct("tv stand", "wood", "lacquer")
    w, d, h = rng.uniform(1.2, 1.6), 0.42, rng.uniform(0.42, 0.55)
    parts = [block((0, 0, 0), (w, d, h), body), *_fronts(palette, body, (w, d, h), (3, 1), low=0.0)]
    frame, screen, size = palette.draw("metal"), palette.draw("screen"), rng.uniform(0.85, 1.1)
    tv = [
        block((0, 0.02, h), (0.4, 0.22, 0.03), frame),
        block((0, 0.04, h + 0.03), (size, 0.05, 0.58 * size), frame),
        block((0, 0.013, h + 0.055), (size - 0.05, 0.012, 0.58 * size - 0.05), screen),
    ]
    return Piece((Item("tv stand", tuple(parts)), Item("television", tuple(tv))))


def kitchen_line(palette: Palette) -> Piece:
    """Base cabinets under a counter with a sink and, mostly, a stove."""
    rng = palette.rng
    w, d, h = rng.uniform(1.7, 2.3), 0.6, rng.uniform(0.86, 0.92)
    body, top = palette.distinct("kitchen cabinet", "wood", "lacquer"), palette.distinct("counter", "lacquer", "wood")
    base = [block((0, 0.03, 0), (w - 0.02, d - 0.08, 0.09), palette.draw("metal"))]
    base += [block((0, 0.01, 0.09), (w, d - 0.04, h - 0.14), body)]
    base += _fronts(palette, body, (w, d - 0.06, h - 0.05), (4, 1), low=0.09)
    counter = [block((0, -0.01, h - 0.05), (w, d + 0.02, 0.05), top)]
    counter.append(block((0, d / 2 - 0.01, h), (w, 0.02, 0.1), top))
    side = rng.choice((-1, 1)) * w / 4
    items = [Item("kitchen cabinet", tuple(base)), Item("counter", tuple(counter))]
    items.append(Item("sink", tuple(_basin(palette, (side, 0.0, h), (0.55, 0.42), rim=0.03))))
    if rng.random() < 0.7:
        plate = block((-side, 0, h), (0.56, 0.48, 0.02), palette.draw("screen"))
        rings = [
            block((-side + i * 0.14, j * 0.12, h + 0.02), (0.2, 0.2, 0.012), palette.draw("metal"), Shape.CYLINDER)
            for i in (-1, 1)
            for j in (-1, 1)
        ]
        items.append(Item("stove", (plate, *rings)))
    return Piece(tuple(items))


def wall_cabinet(palette: Palette) -> Piece:
    """A cabinet that hangs on the wall."""
    body = palette.distinct("kitchen cabinet", "wood", "lacquer")
    size = (palette.rng.uniform(0.9, 1.4), 0.34, palette.rng.uniform(0.55, 0.7))
    parts = [block((0, 0, 0), size, body), *_fronts(palette, body, size, (3, 1), low=0.0)]
    return Piece((Item("kitchen cabinet", tuple(parts)),))


def refrigerator(palette: Palette) -> Piece:
    """A fridge: body, two doors and their handles."""
    rng = palette.rng
    body = palette.distinct("refrigerator", "lacquer", "ceramic", "metal")
    w, d, h = rng.uniform(0.62, 0.75), rng.uniform(0.6, 0.68), rng.uniform(1.55, 1.85)
    split, handle = rng.uniform(0.55, 0.7) * h, palette.draw("metal")
    side = rng.choice((-1, 1)) * (w / 2 - 0.07)
    parts = [block((0, 0.015, 0.02), (w, d - 0.05, h - 0.02), body)]
    for low, high in ((0.04, split), (split + 0.02, h)):
        parts.append(block((0, -d / 2 + 0.02, low), (w, 0.05, high - low), body))
        parts.append(block((side, -d / 2 - 0.02, low + 0.4 * (high - low)), (0.04, 0.04, 0.4 * (high - low)), handle))
    return Piece((Item("refrigerator", tuple(parts)),))


def _basin(palette: Palette, at: Triple, size: tuple[float, float], rim: float) -> list[Part]:
    """A rim of four bars around a sunken-looking bowl, and a tap behind it."""
    rim_material, bowl, tap = (
        palette.distinct("sink", "ceramic", "metal"),
        palette.draw("metal"),
        palette.draw("metal"),
    )
    (x, y, z), (w, d) = at, size
    put = partial(block, material=rim_material)
    return [
        *(put((x + i * (w / 2 - 0.03), y, z), (0.06, d, rim)) for i in (-1, 1)),
        *(put((x, y + i * (d / 2 - 0.03), z), (w - 0.12, 0.06, rim)) for i in (-1, 1)),
        block((x, y, z), (w - 0.12, d - 0.12, 0.006), bowl),
        block((x, y + d / 2 - 0.03, z + rim), (0.04, 0.04, 0.2), tap, Shape.CYLINDER),
        block((x, y + d / 2 - 0.1, z + rim + 0.17), (0.035, 0.16, 0.035), tap),
    ]


def wash_stand(palette: Palette) -> Piece:
    """A sink on a vanity cabinet or on a pedestal."""
    rng = palette.rng
    w, d, h = rng.uniform(0.55, 0.7), 0.46, rng.uniform(0.8, 0.86)
    if rng.random() < 0.5:
        body = palette.distinct("cabinet", "wood", "lacquer")
        parts = [block((0, 0, 0), (w, d, h), body), *_fronts(palette, body, (w, d, h), (2, 1), low=0.0)]
        cabinet = Item("cabinet", tuple(parts))
        return Piece((cabinet, Item("sink", tuple(_basin(palette, (0, 0, h), (w - 0.04, d - 0.06), rim=0.08)))))
    white = palette.distinct("sink", "ceramic")
    stand = [
        block((0, 0.08, 0), (0.22, 0.22, h - 0.14), white, Shape.CYLINDER),
        block((0, 0, h - 0.14), (w, d, 0.14), white),
    ]
    return Piece((Item("sink", (*stand, *_basin(palette, (0, 0, h), (w, d), rim=0.04))),))


def toilet(palette: Palette) -> Piece:
    """A toilet, tank to the wall: foot, bowl, seat, lid and tank."""
    white, lid = palette.distinct("toilet", "ceramic"), palette.draw("ceramic")
    parts = [
        block((0, 0.02, 0), (0.26, 0.44, 0.24), white, Shape.CYLINDER),
        block((0, -0.06, 0.2), (0.38, 0.5, 0.18), white, Shape.CYLINDER),
        block((0, -0.06, 0.38), (0.4, 0.52, 0.04), lid, Shape.CYLINDER),
        block((0, 0.25, 0.36), (0.42, 0.19, 0.40), white),
        block((0, 0.25, 0.76), (0.44, 0.21, 0.03), lid),
        block((0, 0.18, 0.42), (0.36, 0.03, 0.34), lid, tilt=-0.08),
    ]
    return Piece((Item("toilet", tuple(parts)),))


def bathtub(palette: Palette) -> Piece:
    """A tub along the wall with a shower curtain half drawn on a rail around it."""
    rng = palette.rng
    w, d, h = rng.uniform(1.5, 1.7), rng.uniform(0.7, 0.78), rng.uniform(0.5, 0.58)
    white, metal = palette.distinct("bathtub", "ceramic", "ceramic", "lacquer"), palette.draw("metal")
    parts = [
        block((0, 0, 0), (w, d, 0.12), white),
        *(block((i * (w / 2 - 0.04), 0, 0.12), (0.08, d, h - 0.12), white) for i in (-1, 1)),
        *(block((0, i * (d / 2 - 0.04), 0.12), (w - 0.16, 0.08, h - 0.12), white) for i in (-1, 1)),
        block((w / 2 - 0.04, 0, h), (0.05, 0.05, 0.18), metal, Shape.CYLINDER),
    ]
    cloth = palette.distinct("shower curtain", "fabric", "lacquer")
    rail = [block((0, -d / 2 - 0.05, 2.0), (w, 0.03, 0.03), metal)]
    rail += [block((i * (w / 2 - 0.015), -0.025, 2.0), (0.03, d + 0.05, 0.03), metal) for i in (-1, 1)]
    left, share, pleat = -w / 2, rng.uniform(0.35, 0.6), 0.09
    folds = [
        block((left + (k + 0.5) * pleat, -d / 2 - 0.06, 0.2), (1.3 * pleat, 0.06, 1.8), cloth, Shape.CYLINDER)
        for k in range(int(share * w / pleat))
    ]
    return Piece((Item("bathtub", tuple(parts)), Item("shower curtain", (*rail, *folds))))


def bin_(palette: Palette) -> Piece:
    """A waste bin."""
    body, h = palette.distinct("trash can", "metal", "lacquer", "fabric"), palette.rng.uniform(0.35, 0.6)
    rim = block((0, 0, h), (0.34, 0.34, 0.03), palette.draw("metal"), Shape.CYLINDER)
    return Piece((Item("trash can", (block((0, 0, 0), (0.32, 0.32, h), body, Shape.CYLINDER), rim)),))
