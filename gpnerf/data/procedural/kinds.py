"""The kinds of room and what stands in each: context that a network can learn."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from gpnerf.data.procedural import openings, seating, storage
from gpnerf.data.procedural.layout import Plan
from gpnerf.data.procedural.materials import Material
from gpnerf.data.procedural.palette import Palette
from gpnerf.data.procedural.shapes import Item, Piece, block

KINDS = ("living", "bedroom", "kitchen", "office", "bathroom", "studio")
_FEWEST, _MOST = 8, 20
_SIZES = {
    "living": ((4.1, 5.2), (3.8, 4.6)),
    "bedroom": ((3.9, 4.6), (3.7, 4.3)),
    "kitchen": ((3.7, 4.5), (3.5, 4.1)),
    "office": ((4.0, 5.0), (3.8, 4.5)),
    "bathroom": ((3.2, 3.8), (3.0, 3.5)),
    "studio": ((4.8, 5.8), (4.4, 5.1)),
}
_NO_FURNITURE = {"wall", "door", "window", "curtain", "picture", "mirror", "towel", "whiteboard"}
_NO_FURNITURE |= {"books", "pillow", "monitor", "television", "stove", "lamp", "rug", "plant"}

Builder = Callable[[Palette], Piece]


def furnish(kind: str, wall: Material, palette: Palette) -> Plan:
    """An empty room with these walls, filled: the door, furniture in the order of its list, pictures and lamps."""
    rng = palette.rng
    height = rng.uniform(2.4, 2.7)
    plan = Plan(np.array([*(rng.uniform(*r) for r in _SIZES[kind]), height]), rng)
    plan.against_wall(openings.door(palette), keep_free=0.8)
    if kind != "bathroom" and rng.random() < 0.35:
        _column(plan, wall, rng)
    for how, builder, chance in _LISTS[kind]:
        if rng.random() < chance:
            _put(plan, how, builder(palette))
    _dress(kind, plan, palette)
    return plan


def _put(plan: Plan, how: str, piece: Piece) -> None:
    """Place a piece as its list says, unless the room is full or has no space for it."""
    if _furniture(plan.items) + _furniture(piece.items) > _MOST:
        return
    if how == "middle":
        plan.free_standing(piece, reach=0.35)
    else:
        free, height = {"wall": (0.0, 0.0), "open": (0.5, 0.0), "high": (0.0, 1.4)}[how]
        plan.against_wall(piece, keep_free=free, height=height)


def _column(plan: Plan, wall: Material, rng: np.random.Generator) -> None:
    """A boxed corner: it breaks the plain rectangle of the room."""
    w, d = rng.uniform(0.5, 0.9, 2)
    pillar = block((0, 0, 0), (float(w), float(d), float(plan.size[2])), wall)
    plan.against_wall(Piece((Item("wall", (pillar,)),)))


def _dress(kind: str, plan: Plan, palette: Palette) -> None:
    """Pictures, lamps and, where the room is still bare, small furniture."""
    rng = palette.rng
    for _ in range(int(rng.integers(2, 5))):
        plan.against_wall(openings.picture(palette), height=float(rng.uniform(1.25, 1.5)))
    fillers: list[Builder] = [storage.bin_, seating.stool, storage.cupboard, seating.stool, storage.bin_]
    for filler in 2 * fillers:
        if _furniture(plan.items) < _FEWEST and not plan.against_wall(filler(palette)):
            plan.free_standing(filler(palette), reach=1.0, margin=0.1)
    lamps = 2 if plan.size[0] > 4.6 else 1
    for _ in range(lamps):
        plan.free_standing(openings.ceiling_lamp(palette), reach=0.6, height=float(plan.size[2]), margin=0.1)
    if kind in ("living", "bedroom", "studio"):
        plan.free_standing(openings.rug(palette), reach=0.5, margin=0.0)


def _furniture(items: Iterable[Item]) -> int:
    """The number of pieces of furniture: not what is part of the building, hangs on walls or lies on other things."""
    return sum(item.category not in _NO_FURNITURE for item in items)


_WINDOW: tuple[str, Builder, float] = ("wall", openings.window, 1.0)
_BARE_WINDOW: tuple[str, Builder, float] = ("wall", partial(openings.window, curtain=False), 1.0)
_SMALL_WINDOW: tuple[str, Builder, float] = ("wall", partial(openings.window, curtain=False, small=True), 1.0)
_ARMCHAIR = partial(seating.sofa, seats=1)
_WARDROBE = partial(storage.cupboard, category="wardrobe")
_FILES = partial(storage.cupboard, category="file cabinet")

_LISTS: dict[str, tuple[tuple[str, Builder, float], ...]] = {
    "living": (
        ("middle", seating.coffee_table, 1.0),
        ("open", seating.sofa, 1.0),
        _WINDOW,
        ("wall", storage.bookshelf, 1.0),
        ("open", storage.tv_stand, 0.9),
        ("wall", storage.cupboard, 0.9),
        ("wall", _ARMCHAIR, 0.9),
        ("wall", _ARMCHAIR, 0.5),
        ("wall", seating.desk_set, 0.4),
        ("wall", storage.bookshelf, 0.4),
        ("wall", openings.floor_lamp, 0.8),
        ("wall", openings.plant, 0.8),
        ("wall", openings.window, 0.5),
    ),
    "bedroom": (
        ("open", seating.bed, 1.0),
        _WINDOW,
        ("wall", _WARDROBE, 0.9),
        ("wall", seating.desk_set, 0.9),
        ("wall", storage.night_stand, 1.0),
        ("wall", storage.night_stand, 0.6),
        ("wall", storage.cupboard, 0.8),
        ("wall", storage.bookshelf, 0.6),
        ("wall", _ARMCHAIR, 0.5),
        ("wall", seating.stool, 0.6),
        ("wall", openings.plant, 0.6),
        ("high", openings.mirror, 0.6),
        ("wall", openings.floor_lamp, 0.4),
    ),
    "kitchen": (
        ("middle", seating.dining_set, 1.0),
        ("open", storage.kitchen_line, 1.0),
        ("open", storage.refrigerator, 1.0),
        _BARE_WINDOW,
        ("high", storage.wall_cabinet, 1.0),
        ("high", storage.wall_cabinet, 0.7),
        ("wall", storage.cupboard, 0.8),
        ("wall", storage.bin_, 0.9),
        ("wall", seating.stool, 0.6),
        ("wall", openings.plant, 0.5),
        ("wall", openings.window, 0.5),
    ),
    "office": (
        ("middle", seating.coffee_table, 0.6),
        _WINDOW,
        ("wall", seating.desk_set, 1.0),
        ("wall", seating.desk_set, 0.9),
        ("wall", storage.bookshelf, 1.0),
        ("wall", _FILES, 0.9),
        ("wall", storage.cupboard, 0.8),
        ("open", seating.sofa, 0.7),
        ("wall", storage.bin_, 0.8),
        ("wall", openings.plant, 0.7),
        ("wall", openings.floor_lamp, 0.5),
        ("high", openings.whiteboard, 0.7),
    ),
    "bathroom": (
        ("open", storage.bathtub, 1.0),
        ("open", storage.toilet, 1.0),
        ("open", storage.wash_stand, 1.0),
        _SMALL_WINDOW,
        ("wall", storage.cupboard, 0.9),
        ("wall", storage.cupboard, 0.5),
        ("high", openings.mirror, 0.9),
        ("high", openings.towel, 0.9),
        ("wall", storage.bin_, 0.9),
        ("wall", seating.stool, 0.8),
        ("wall", openings.plant, 0.6),
    ),
    "studio": (
        ("middle", seating.dining_set, 0.8),
        ("open", seating.bed, 1.0),
        ("open", storage.kitchen_line, 1.0),
        _WINDOW,
        ("wall", storage.refrigerator, 1.0),
        ("open", seating.sofa, 0.9),
        ("wall", storage.bookshelf, 0.8),
        ("wall", seating.desk_set, 0.6),
        ("wall", _WARDROBE, 0.6),
        ("wall", storage.night_stand, 0.7),
        ("high", storage.wall_cabinet, 0.7),
        ("wall", openings.window, 0.6),
        ("wall", openings.floor_lamp, 0.6),
    ),
}
