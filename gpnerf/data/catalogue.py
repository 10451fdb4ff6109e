"""From a data set's name and scene names to opened scenes, with errors that say how to get what is missing."""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpnerf.data.labels import LABEL_TABLE, label_map
from gpnerf.data.packed_files import find_packed
from gpnerf.data.posed_images import posed_images_scene
from gpnerf.data.protocol import Protocol
from gpnerf.data.replica import replica_scene
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError

_FOLDERS = {
    "scannet": "scannet",
    "replica": "Replica",
    "replica_dm": "Replica_DM",
    "rooms": "rooms",
    "posed_images": "posed_images",
}
_CONTENTS = {
    "scannet": f"sceneXXXX_YY/{{color,depth,label-filt,pose,intrinsic}}/ and {LABEL_TABLE}",
    "replica": "office_0/Sequence_1/{rgb,depth,semantic_class}/ and traj_w_c.txt (and so on for each scene)",
    "replica_dm": "office_0/{rgb,depth,semantic_instance}/ and traj_w_c.txt (and so on for each scene)",
    "rooms": f"room_0000/{{color,depth,label-filt,pose,intrinsic}}/ and {LABEL_TABLE}",
    "posed_images": "a folder for each scene, with transforms.json, or with images/ and COLMAP's sparse/0/",
}
_HOW_TO_GET = {
    "scannet": "sign ScanNet's terms of use (http://www.scan-net.org), export the .sens files there",
    "replica": "get the Semantic-NeRF renderings (https://github.com/Harry-Zhi/semantic_nerf) there",
    "replica_dm": "get Replica as DM-NeRF prepares it (https://github.com/vLAR-group/DM-NeRF) there",
    "posed_images": "put photographs there whose poses COLMAP or nerfstudio's ns-process-data has found",
}
_EXAMPLES = {
    "scannet": "scene0000_00",
    "replica": "office_0",
    "replica_dm": "office_0",
    "rooms": "room_0000",
    "posed_images": "kitchen",
}
_LONGEST_NAME, _SHOWN = 255, 60  # bytes that a file system takes, characters that a message shows
_ROOM = re.compile(r"room_(\d{4,})")
_SCENE_LISTS = ("scenes", "validation_scenes", "train_scenes")


def open_scenes(
    rootdir: Path,
    names: Sequence[str],
    protocol: Protocol,
    cache: FrameCache,
    every_sequence: bool = False,
    opened: dict[str, Scene] | None = None,
) -> list[Scene]:
    """Open scenes of the protocol's data set under `rootdir`/data at the protocol's image size.

    A Replica name stands for its Sequence_1, with `every_sequence` for each sequence on disk (as scenes of their own,
    named office_0/Sequence_2 and so on); `office_0/Sequence_2` stands for itself. `opened` are scenes by name that
    earlier calls for this protocol have opened: they are taken from there, others are added. Without `names` every
    folder there is a scene.
    """
    folder = rootdir / "data" / _FOLDERS[protocol.dataset]
    for name in names:
        _require_name(name, protocol.dataset)
    names = names or _every_scene(folder, protocol.dataset)
    if absent := [name for name in names if not (folder / name).is_dir()]:
        place, found = folder, "no such folder"
        if folder.is_dir():
            place = folder / absent[0]
            found = f"no such scene ({len(absent)} of {len(names)} named by {_origin(names, protocol)} are missing)"
        raise _missing(place, protocol.dataset, found, folder, absent)
    opened = {} if opened is None else opened
    places = [(name, folder / name) for name in names]
    if protocol.dataset == "replica":
        places = [found for name, path in places for found in _sequences(path, name, every_sequence)]
    for name, path in places:
        if name not in opened:
            opened[name] = _open(path, name, protocol, cache, opened.values(), folder / LABEL_TABLE)
    return [opened[name] for name, _ in places]


def _require_name(name: str, dataset: str) -> None:
    """Refuse what would lead out of the data set's folder, or out of the run's, which has a folder of this name too."""
    parts = name.split("/")
    plain = name.isprintable() and not {"", ".", ".."} & set(parts) and not name.startswith(("~", "."))
    if not plain or max(len(os.fsencode(part)) for part in parts) > _LONGEST_NAME:
        raise UserError(
            f"scene {name[:_SHOWN]!r}: expected the name of a folder of the data set, such as "
            f"{_EXAMPLES[dataset]}, found a name that leads elsewhere or is none; mend it where scenes are named"
        )


def scene_folder(rootdir: Path, dataset: str, name: str) -> Path:
    """The folder of an opened scene of this name."""
    folder = rootdir / "data" / _FOLDERS[dataset] / name
    return folder / "Sequence_1" if dataset == "replica" and "/" not in name else folder


def _open(path: Path, name: str, protocol: Protocol, cache: FrameCache, others: Iterable[Scene], table: Path) -> Scene:
    """A scene with the label map of the others, or one of its own if they have none."""
    common: dict[str, Any] = {
        "name": name,
        "height": protocol.height,
        "width": protocol.width,
        "label_map": None,
        "cache": cache,
    }
    if protocol.dataset in ("replica", "replica_dm"):
        scene = replica_scene(path, **common, compat=protocol.compat)
    elif protocol.dataset == "posed_images":
        scene = posed_images_scene(path, **common)
    else:
        scene = scannet_scene(path, **common, compat=protocol.compat, frame_order=protocol.frame_order)
    scene = replace(scene, packed=find_packed(scene, path))
    if not scene.has_labels:
        return scene  # the table, which comes from elsewhere, may be missing
    known = next((other.label_map for other in others if other.label_map is not None), None)
    return replace(scene, label_map=known or label_map(protocol.class_map, table))


def _every_scene(folder: Path, dataset: str) -> list[str]:
    found = sorted(path.name for path in folder.glob("[!.]*") if path.is_dir())
    if not found:
        raise _missing(folder, dataset, "no scene" if folder.is_dir() else "no such folder", folder, [])
    return found


def _sequences(folder: Path, scene: str, every: bool) -> list[tuple[str, Path]]:
    if "/" in scene:
        return [(scene, folder)]
    found = sorted(path for path in folder.glob("Sequence_*") if path.is_dir())
    if not found or (not every and found[0].name != "Sequence_1"):
        raise _missing(folder / "Sequence_1", "replica", "no such folder", folder, [scene])
    first, *others = [(scene if path.name == "Sequence_1" else f"{scene}/{path.name}", path) for path in found]
    return [first, *others] if every else [first]


def _origin(names: Sequence[str], protocol: Protocol) -> str:
    for key in _SCENE_LISTS:
        if tuple(names) == getattr(protocol, key):
            return f"'{key}' of protocol {protocol.name}"
    return "the split"


def _missing(path: Path, dataset: str, found: str, folder: Path, absent: Sequence[str]) -> UserError:
    remedy = _make_rooms(folder, absent) if dataset == "rooms" else _HOW_TO_GET[dataset]
    return UserError(
        f"{path}: expected {dataset} data, {_CONTENTS[dataset]}; found {found}; {remedy}, set --rootdir, or take "
        "what is missing out of the split (--train_set_list, --val_set_list)"
    )


def _make_rooms(folder: Path, absent: Sequence[str]) -> str:
    """The commands that write the rooms of these names: one for each run of consecutive numbers."""
    numbers = sorted(int(match[1]) for name in absent if (match := _ROOM.fullmatch(name)))
    firsts = [number for number in numbers if number - 1 not in numbers]
    lasts = [number for number in numbers if number + 1 not in numbers]
    script = f"python scripts/make_rooms.py --out {shlex.quote(str(folder))}"
    commands = [
        f"{script}{f' --first {first}' if first else ''} --rooms {last - first + 1}"
        for first, last in zip(firsts, lasts, strict=True)
    ]
    return f"write it with `{' && '.join(commands or [f'{script} --rooms 32'])}`"
