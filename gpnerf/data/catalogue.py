"""From a data set's name and scene names to opened scenes, with errors that say how to get what is missing."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from gpnerf.data.labels import LABEL_TABLE, LabelMap, label_map
from gpnerf.data.protocol import Protocol
from gpnerf.data.replica import replica_scene
from gpnerf.data.scannet import has_label_files, scannet_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError

_FOLDERS = {"scannet": "scannet", "replica": "Replica", "rooms": "rooms"}
_CONTENTS = {
    "scannet": f"sceneXXXX_YY/{{color,depth,label-filt,pose,intrinsic}}/ and {LABEL_TABLE}",
    "replica": "office_0/Sequence_1/{rgb,depth,semantic_class}/ and traj_w_c.txt (and so on for each scene)",
    "rooms": f"room_0000/{{color,depth,label-filt,pose,intrinsic}}/ and {LABEL_TABLE}",
}
_HOW_TO_GET = {
    "scannet": "sign ScanNet's terms of use (http://www.scan-net.org), export the .sens files there",
    "replica": "get the Semantic-NeRF renderings (https://github.com/Harry-Zhi/semantic_nerf) there",
}
_ROOM = re.compile(r"room_(\d{4,})")
_SCENE_LISTS = ("scenes", "validation_scenes", "train_scenes")


def open_scenes(
    rootdir: Path, names: Sequence[str], protocol: Protocol, cache: FrameCache, every_sequence: bool = False
) -> list[Scene]:
    """Open scenes of the protocol's data set under `rootdir`/data at the protocol's image size.

    A Replica name stands for its Sequence_1, with `every_sequence` for each sequence on disk (as scenes of their own,
    named office_0/Sequence_2 and so on); `office_0/Sequence_2` stands for itself.
    """
    folder = rootdir / "data" / _FOLDERS[protocol.dataset]
    if absent := [name for name in names if not (folder / name).is_dir()]:
        place, found = folder, "no such folder"
        if folder.is_dir():
            place = folder / absent[0]
            found = f"no such scene ({len(absent)} of {len(names)} named by {_origin(names, protocol)} are missing)"
        raise _missing(place, protocol.dataset, found, folder, absent)
    if protocol.dataset == "replica":
        return _open_replica(folder, names, protocol, cache, every_sequence)
    labelled = any(has_label_files(folder / name) for name in names)
    labels = label_map(protocol.class_map, folder / LABEL_TABLE) if labelled else None
    return [_open_scannet(folder / name, name, protocol, cache, labels) for name in names]


def _open_scannet(folder: Path, name: str, protocol: Protocol, cache: FrameCache, labels: LabelMap | None) -> Scene:
    return scannet_scene(
        folder,
        name=name,
        height=protocol.height,
        width=protocol.width,
        label_map=labels,
        cache=cache,
        frame_order=protocol.frame_order,
        compat=protocol.compat,
    )


def _open_replica(
    folder: Path, names: Sequence[str], protocol: Protocol, cache: FrameCache, every_sequence: bool
) -> list[Scene]:
    labels = label_map(protocol.class_map, folder / LABEL_TABLE)
    sequences = [(name, path) for scene in names for name, path in _sequences(folder / scene, scene, every_sequence)]
    return [
        replica_scene(
            path,
            name=name,
            height=protocol.height,
            width=protocol.width,
            label_map=labels,
            cache=cache,
            compat=protocol.compat,
        )
        for name, path in sequences
    ]


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
