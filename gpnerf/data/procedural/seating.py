"""Chairs, sofas, beds, tables and desks; every builder draws sizes and materials from the room's palette."""

import numpy as np

from gpnerf.data.procedural.materials import Material
from gpnerf.data.procedural.palette import Palette
from gpnerf.data.procedural.shapes import Item, Part, Piece, Shape, Triple, block, legs


def chair(palette: Palette, category: str = "chair") -> Item:
    """A four-legged chair with a padded seat and a solid or slatted back, facing -y."""
    rng = palette.rng
    frame, seat = palette.draw("wood"), palette.distinct(category, "wood", "fabric", "lacquer")
    w, d, h = rng.uniform(0.42, 0.48), rng.uniform(0.42, 0.48), rng.uniform(0.44, 0.47)
    top = rng.uniform(0.86, 1.0)
    parts = [*legs(w, d, h, 0.05, frame), block((0, 0, h), (w, d, 0.06), seat)]
    posts = [
        block((i * (w / 2 - 0.025), d / 2 - 0.025, h + 0.06), (0.05, 0.05, top - h - 0.06), frame) for i in (-1, 1)
    ]
    if rng.random() < 0.6:
        back = [block((0, d / 2 - 0.025, h + 0.18), (w - 0.1, 0.04, top - h - 0.2), seat)]
    else:
        back = [block((0, d / 2 - 0.025, z), (w - 0.1, 0.03, 0.09), seat) for z in np.linspace(h + 0.15, top - 0.1, 3)]
    return Item(category, (*parts, *posts, *back))


def office_chair(palette: Palette) -> Item:
    """A swivel chair: five-foot base, post, seat, back and arm rests."""
    rng = palette.rng
    soft, metal = palette.distinct("office chair", "fabric", "lacquer"), palette.draw("metal")
    w, seat = rng.uniform(0.48, 0.54), rng.uniform(0.44, 0.48)
    feet = [block((0, 0, 0), (0.56, 0.06, 0.07), metal, yaw=a) for a in (0.3, 1.35, 2.4)]
    arms = [block((i * (w / 2 - 0.03), 0, seat + 0.2), (0.06, 0.28, 0.04), metal) for i in (-1, 1)]
    arms += [block((i * (w / 2 - 0.03), 0.05, seat), (0.04, 0.05, 0.2), metal) for i in (-1, 1)]
    parts = [
        block((0, 0, 0.07), (0.07, 0.07, seat - 0.15), metal, Shape.CYLINDER),
        block((0, 0, seat - 0.08), (w, w, 0.1), soft),
        block((0, w / 2 - 0.02, seat + 0.02), (w - 0.04, 0.08, rng.uniform(0.45, 0.6)), soft, tilt=-0.1),
    ]
    return Item("office chair", (*feet, *parts, *arms))


def stool(palette: Palette) -> Piece:
    """A round stool."""
    top = palette.distinct("stool", "wood", "fabric", "lacquer")
    h, r = palette.rng.uniform(0.42, 0.6), 0.36
    parts = [*legs(0.28, 0.28, h, 0.045, palette.draw("wood")), block((0, 0, h), (r, r, 0.06), top, Shape.CYLINDER)]
    return Piece((Item("stool", tuple(parts)),))


def sofa(palette: Palette, seats: int | None = None) -> Piece:
    """A sofa of `seats` cushions (two or three); one seat makes it an armchair."""
    rng = palette.rng
    count = int(rng.integers(2, 4)) if seats is None else seats
    category = "armchair" if count == 1 else "sofa"
    body = palette.distinct(category, "fabric", "fabric", "lacquer")
    cushion = body if rng.random() < 0.5 else palette.draw("fabric")
    one, arm, d, base = (
        rng.uniform(0.56, 0.66),
        rng.uniform(0.14, 0.2),
        rng.uniform(0.82, 0.92),
        rng.uniform(0.28, 0.34),
    )
    w = one * count + 2 * arm
    back = rng.uniform(0.75, 0.88)
    parts = legs(w - 0.1, d - 0.1, 0.06, 0.06, palette.draw("wood"))
    parts += [
        block((0, 0, 0.06), (w, d, base - 0.06), body),
        block((0, d / 2 - 0.1, base), (w, 0.2, back - base), body),
    ]
    parts += [block((i * (w - arm) / 2, -0.1, base), (arm, d - 0.2, 0.26), body) for i in (-1, 1)]
    for k in range(count):
        x = (k - (count - 1) / 2) * one
        parts.append(block((x, -0.11, base - 0.005), (one - 0.01, d - 0.2, 0.135), cushion))
        parts.append(block((x, d / 2 - 0.27, base + 0.13), (one - 0.03, 0.14, back - base - 0.18), cushion, tilt=-0.12))
    items = [Item(category, tuple(parts))]
    if count > 1 and rng.random() < 0.6:
        soft = palette.distinct("pillow", "fabric")
        x = rng.choice((-1, 1)) * (w / 2 - arm - 0.24)
        items.append(Item("pillow", (block((x, d / 2 - 0.46, base + 0.15), (0.42, 0.13, 0.38), soft, tilt=-0.3),)))
    return Piece(tuple(items))


def bed(palette: Palette) -> Piece:
    """A bed, head to the wall: frame, headboard, mattress, blanket and pillows."""
    rng = palette.rng
    double = rng.random() < 0.6
    w, d, low = (rng.uniform(1.4, 1.7) if double else rng.uniform(0.95, 1.1)), 2.08, rng.uniform(0.24, 0.32)
    frame, blanket = palette.distinct("bed", "wood", "fabric", "lacquer"), palette.distinct("bed", "fabric")
    sheet, head = palette.draw("ceramic"), rng.uniform(0.85, 1.15)
    cover = rng.uniform(1.25, 1.5)
    parts = [
        *legs(w, d, 0.12, 0.08, frame),
        block((0, 0, 0.12), (w, d, low - 0.12), frame),
        block((0, d / 2 + 0.03, 0.1), (w + 0.06, 0.06, head - 0.1), frame),
        block((0, -0.01, low), (w - 0.06, d - 0.06, 0.2), sheet),
        block((0, -d / 2 + cover / 2 - 0.01, low - 0.06), (w + 0.04, cover, 0.30), blanket),
    ]
    items = [Item("bed", tuple(parts))]
    for x in (-w / 4, w / 4) if double else (0.0,):
        pillow = block(
            (x, d / 2 - 0.3, low + 0.2), (0.6, 0.4, 0.15), palette.draw("fabric"), Shape.ELLIPSOID, tilt=0.15
        )
        items.append(Item("pillow", (pillow,)))
    return Piece(tuple(items))


def table_item(palette: Palette, category: str, size: Triple, *, round_top: bool) -> Item:
    """A table of the given width, depth and height: four legs and an apron, or a round top on a post."""
    w, d, h = size
    top = palette.distinct(category, "wood", "lacquer")
    if round_top:
        parts = [
            block((0, 0, 0), (0.5 * w, 0.5 * w, 0.04), top, Shape.CYLINDER),
            block((0, 0, 0.04), (0.1, 0.1, h - 0.08), top, Shape.CYLINDER),
            block((0, 0, h - 0.04), (w, w, 0.04), top, Shape.CYLINDER),
        ]
        return Item(category, tuple(parts))
    frame = top if palette.rng.random() < 0.5 else palette.draw("metal")
    parts = legs(w - 0.04, d - 0.04, h - 0.04, 0.06, frame)
    parts += [block((0, i * (d / 2 - 0.06), h - 0.1), (w - 0.14, 0.025, 0.06), frame) for i in (-1, 1)]
    return Item(category, (*parts, block((0, 0, h - 0.04), (w, d, 0.04), top)))


def dining_set(palette: Palette) -> Piece:
    """A table with two to four chairs drawn up to it."""
    rng = palette.rng
    h, round_top = rng.uniform(0.72, 0.77), bool(rng.random() < 0.35)
    w = rng.uniform(0.95, 1.1) if round_top else rng.uniform(1.2, 1.6)
    d = w if round_top else rng.uniform(0.75, 0.9)
    items = [table_item(palette, "table", (w, d, h), round_top=round_top), *_on_top(palette, h)]
    sides = [(0.0, -1), (0.0, 1)] if round_top or w < 1.35 else [(x, s) for x in (-w / 4, w / 4) for s in (-1, 1)]
    for x, side in sides:
        out = d / 2 + rng.uniform(0.12, 0.22)
        seat = Piece((chair(palette),)).moved(0.0 if side > 0 else np.pi, (x, side * out, 0))
        items.extend(seat.items)
    return Piece(tuple(items))


def coffee_table(palette: Palette) -> Piece:
    """A low table."""
    rng = palette.rng
    round_top = bool(rng.random() < 0.3)
    size = (
        rng.uniform(0.75, 0.9) if round_top else rng.uniform(0.9, 1.15),
        rng.uniform(0.5, 0.6),
        rng.uniform(0.4, 0.46),
    )
    items = [table_item(palette, "coffee table", size, round_top=round_top)]
    return Piece((*items, *_on_top(palette, size[2])))


def desk_set(palette: Palette) -> Piece:
    """A desk with drawers, a monitor or a lamp on it and a chair in front."""
    rng = palette.rng
    w, d, h = rng.uniform(1.15, 1.5), rng.uniform(0.62, 0.72), rng.uniform(0.72, 0.76)
    top = palette.distinct("desk", "wood", "lacquer")
    side = 1 if rng.random() < 0.5 else -1
    desk = [
        block((0, 0, h - 0.04), (w, d, 0.04), top),
        block((-side * (w / 2 - 0.02), 0, 0), (0.04, d - 0.04, h - 0.04), top),
        *_drawers(palette, top, side * (w / 2 - 0.21), d - 0.04, h - 0.04),
        block((0, d / 2 - 0.05, 0.3), (w - 0.1, 0.03, h - 0.34), top),
    ]
    items = [Item("desk", tuple(desk))]
    if rng.random() < 0.75:
        items.append(Item("monitor", tuple(_monitor(palette, -side * 0.12, 0.12, h))))
    else:
        items.extend(_on_top(palette, h))
    seat = office_chair(palette) if rng.random() < 0.6 else chair(palette)
    moved = Piece((seat,)).moved(np.pi + rng.uniform(-0.2, 0.2), (-side * 0.2, -d / 2 - rng.uniform(0.24, 0.36), 0))
    return Piece((*items, *moved.items))


def _drawers(palette: Palette, body: Material, x: float, depth: float, height: float) -> list[Part]:
    handle = palette.draw("metal")
    parts = [block((x, 0.01, 0), (0.42, depth - 0.02, height), body)]
    step = height / 3
    for k in range(3):
        parts.append(block((x, -depth / 2 + 0.01, k * step + 0.02), (0.38, 0.02, step - 0.04), body))
        parts.append(block((x, -depth / 2 - 0.01, k * step + 0.55 * step), (0.14, 0.025, 0.025), handle))
    return parts


def _monitor(palette: Palette, x: float, y: float, z: float) -> list[Part]:
    case, screen = palette.draw("metal"), palette.draw("screen")
    return [
        block((x, y, z), (0.24, 0.18, 0.02), case),
        block((x, y + 0.04, z + 0.02), (0.06, 0.04, 0.12), case),
        block((x, y, z + 0.1), (0.58, 0.04, 0.36), case),
        block((x, y - 0.02, z + 0.12), (0.54, 0.012, 0.32), screen),
    ]


def _on_top(palette: Palette, height: float) -> list[Item]:
    """What stands on a table: a stack of books, a plant or nothing."""
    draw = palette.rng.random()
    if draw < 0.4:
        sizes = ((0.3, 0.22), (0.27, 0.2), (0.22, 0.18))
        stack = [block((0, 0, height + 0.04 * k), (*s, 0.04), palette.draw("lacquer")) for k, s in enumerate(sizes)]
        return [Item("books", tuple(stack))]
    if draw < 0.75:
        pot = block((0, 0, height), (0.16, 0.16, 0.14), palette.draw("ceramic"), Shape.CYLINDER)
        leaves = block((0, 0, height + 0.11), (0.32, 0.32, 0.28), palette.draw("leaf"), Shape.ELLIPSOID)
        return [Item("plant", (pot, leaves))]
    return []
