"""Split files: one scene a line."""

from pathlib import Path

from gpnerf.errors import UserError
from gpnerf.shipped import find_config
from gpnerf.storage import read_text

_DATASET_FOLDERS = {"scannet", "replica", "replica_dm", "rooms", "posed_images"}
# Old split files end their lines with the folder that the released program's preparation made.
_OLD_SUFFIX = "black_320"


def read_split(path: Path) -> tuple[str, ...]:
    """The scenes of a split file, in order. `#` opens a comment; blank lines are passed over.

    A line is `scene0160_00`, `scannet/scene0160_00` or `scannet/scene0160_00/black_320` (for Replica `office_0`, or
    one sequence of it: `office_0/Sequence_2`).
    """
    lines = read_text(
        find_config(path),
        "a split file (one scene a line, such as scene0160_00)",
        "name an existing one with --train_set_list or --val_set_list, the shipped ones are in configs/",
    ).splitlines()
    scenes = [scene for line in lines if (scene := scene_name(line.split("#")[0]))]
    repeated = sorted({scene for scene in scenes if scenes.count(scene) > 1})
    if repeated or not scenes:
        found = f"{repeated[0]} more than once" if repeated else "no scene"
        raise UserError(f"{path}: expected each scene once, one a line, found {found}; mend the file")
    return tuple(scenes)


def scene_name(line: str) -> str:
    """The scene that a line of a split file names, without data set and old suffix."""
    parts = [part for part in line.strip().split("/") if part]
    if len(parts) > 1 and parts[0].lower() in _DATASET_FOLDERS:
        parts = parts[1:]
    if len(parts) > 1 and parts[-1] == _OLD_SUFFIX:
        parts = parts[:-1]
    return "/".join(parts)
