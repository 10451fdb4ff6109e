"""Finds the scenes below a folder by what their folders hold."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpnerf.checking.layouts import record_posed_images, record_replica, record_scannet
from gpnerf.checking.recording import Recording
from gpnerf.errors import UserError

Reader = Callable[[Path, str], Recording]

# Which reader a data set's scenes need, and what a folder of it holds.
_READERS: dict[str, Reader] = {
    "scannet": record_scannet,
    "rooms": record_scannet,
    "replica": record_replica,
    "replica_dm": record_replica,
    "posed_images": record_posed_images,
}
_PARTS: dict[Reader, tuple[str, ...]] = {
    record_scannet: ("color", "pose", "intrinsic"),
    record_replica: ("rgb", "traj_w_c.txt"),
    record_posed_images: ("transforms.json", "transforms_train.json", "sparse", "colmap/sparse"),
}
DATASETS = tuple(_READERS)
_DEEPEST = 3  # data / data set / scene / sequence


@dataclass(frozen=True)
class SceneFolder:
    """A scene's folder, its name relative to the folder that was named, and the reader of its layout."""

    path: Path
    name: str
    read: Reader


def find_scenes(root: Path, dataset: str | None = None, names: Sequence[str] = ()) -> list[SceneFolder]:
    """The scenes in `root`, which may be a scene, a data set or the folder of several, in the order of their names.

    With a `dataset` every folder in `root` counts as a scene of it, whatever it holds. `names` choose among what is
    found: the whole name or its first or last parts.

    Raises:
        UserError: there is no such folder, no scene in it, or none of a name.
    """
    if not root.is_dir():
        raise UserError(f"{root}: expected a folder of scenes, found no such folder; name one such as data/rooms")
    found = list(_search(root, root, _DEEPEST) if dataset is None else _all_of(root, dataset))
    if not found:
        raise UserError(
            f"{root}: expected scenes (folders with color/ and pose/, rgb/ and traj_w_c.txt, transforms.json or "
            "sparse/), found none; name the folder that holds them, and say with --dataset what they are"
        )
    if absent := [name for name in names if not any(_is_named(scene, name) for scene in found)]:
        raise UserError(f"{root}: expected a scene {absent[0]}, found none among {len(found)}; see --scenes")
    return [scene for scene in found if not names or any(_is_named(scene, name) for name in names)]


def _search(folder: Path, root: Path, depth: int) -> Iterator[SceneFolder]:
    for read, parts in _PARTS.items():
        if any((folder / part).exists() for part in parts):
            yield SceneFolder(folder, _name(folder, root), read)
            return
    for child in _folders(folder) if depth else ():
        yield from _search(child, root, depth - 1)


def _all_of(root: Path, dataset: str) -> Iterator[SceneFolder]:
    read = _READERS[dataset]
    for folder in _folders(root):
        for path in sorted(folder.glob("Sequence_*")) or [folder]:
            yield SceneFolder(path, _name(path, root), read)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _name(folder: Path, root: Path) -> str:
    return folder.name if folder == root else folder.relative_to(root).as_posix()


def _is_named(scene: SceneFolder, name: str) -> bool:
    parts, wanted = scene.name.split("/"), name.strip("/").split("/")
    return any(parts[start : start + len(wanted)] == wanted for start in range(len(parts)))
