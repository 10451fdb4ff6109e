"""The names of the things in a room and their ids in both data set layouts."""

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Category:
    """One raw name: its own id (ScanNet layout), its NYU40 class and its Replica id (0 = undefined there)."""

    raw_id: int
    name: str
    nyu40_id: int
    nyu40_class: str
    replica_id: int

    @property
    def typical(self) -> bool:
        """Whether it is a ScanNet class that says what kind of room this is: not wall, door, window or picture."""
        return self.nyu40_id in _TYPICAL


_TYPICAL = {3, 4, 5, 6, 7, 10, 12, 14, 16, 24, 28, 33, 34, 36, 39}

_TABLE = (
    ("wall", 1, "wall", 93),
    ("floor", 2, "floor", 40),
    ("ceiling", 22, "ceiling", 31),
    ("cabinet", 3, "cabinet", 18),
    ("kitchen cabinet", 3, "cabinet", 18),
    ("file cabinet", 3, "cabinet", 18),
    ("bed", 4, "bed", 7),
    ("chair", 5, "chair", 20),
    ("office chair", 5, "chair", 20),
    ("armchair", 5, "chair", 20),
    ("stool", 5, "chair", 78),
    ("sofa", 6, "sofa", 76),
    ("table", 7, "table", 80),
    ("coffee table", 7, "table", 80),
    ("door", 8, "door", 37),
    ("window", 9, "window", 97),
    ("bookshelf", 10, "bookshelf", 71),
    ("picture", 11, "picture", 59),
    ("counter", 12, "counter", 0),
    ("desk", 14, "desk", 34),
    ("curtain", 16, "curtain", 0),
    ("refrigerator", 24, "refridgerator", 0),
    ("shower curtain", 28, "shower curtain", 0),
    ("toilet", 33, "toilet", 0),
    ("sink", 34, "sink", 0),
    ("bathtub", 36, "bathtub", 0),
    ("wardrobe", 39, "otherfurniture", 0),
    ("tv stand", 39, "otherfurniture", 88),
    ("trash can", 39, "otherfurniture", 10),
    ("stove", 39, "otherfurniture", 0),
    ("lamp", 35, "lamp", 47),
    ("pillow", 18, "pillow", 61),
    ("mirror", 19, "mirror", 0),
    ("rug", 20, "floor mat", 98),
    ("books", 23, "books", 13),
    ("television", 25, "television", 87),
    ("towel", 27, "towel", 0),
    ("whiteboard", 30, "whiteboard", 0),
    ("night stand", 32, "night stand", 54),
    ("monitor", 40, "otherprop", 52),
    ("plant", 40, "otherprop", 44),
)


@cache
def categories() -> dict[str, Category]:
    """All categories by raw name, in the order of their raw ids (1, 2, ...)."""
    return {row[0]: Category(raw_id, *row) for raw_id, row in enumerate(_TABLE, start=1)}


def label_table() -> str:
    """The text of `scannetv2-labels.combined.tsv` for these raw ids."""
    lines = ["id\traw_category\tcategory\tnyu40id\tnyu40class"]
    lines += [f"{c.raw_id}\t{c.name}\t{c.name}\t{c.nyu40_id}\t{c.nyu40_class}" for c in categories().values()]
    return "\n".join(lines) + "\n"
