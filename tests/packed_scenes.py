"""Scenes of every kind on disk, opened with and without packed frames."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from posed_scenes import transforms_of, write_transforms
from tiny_scenes import INTRINSICS, circle_pose, write_label_table, write_replica, write_scannet

from gpnerf.data.catalogue import open_scenes, scene_folder
from gpnerf.data.packed_files import write_packed
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene

REPOSITORY = Path(__file__).parent.parent
CONFIGS = REPOSITORY / "configs"
FRAMES, HEIGHT, WIDTH = 14, 48, 64
PARTS = ("image", "depth", "labels", "instances")


def room(root: Path) -> str:
    write_scannet(root / "data/rooms/room_0000", FRAMES, HEIGHT, WIDTH)
    write_label_table(root / "data/rooms")
    return "room_0000"


def replica(root: Path) -> str:
    write_replica(root / "data/Replica/office_0/Sequence_1", FRAMES, HEIGHT, WIDTH)
    return "office_0"


def own(root: Path) -> str:
    """Distorted photographs without labels."""
    folder = root / "data/posed_images/desk"
    room(root)
    folder.mkdir(parents=True)
    shutil.copytree(root / "data/rooms/room_0000/color", folder / "images")
    poses = np.stack([circle_pose(number, FRAMES) for number in range(FRAMES)])
    names = [f"images/{number}.jpg" for number in range(FRAMES)]
    write_transforms(folder, transforms_of(poses, INTRINSICS, (HEIGHT, WIDTH), names, k1=-0.1, near=0.3, far=5))
    return "desk"


def protocol_of(dataset: str, size: tuple[int, int], kind: str = "clean") -> Protocol:
    protocol = load_protocol(kind, dataset, CONFIGS)
    return replace(protocol, num_source_views=3, height=size[0], width=size[1])


def opened(root: Path, name: str, protocol: Protocol) -> Scene:
    return open_scenes(root, [name], protocol, FrameCache(0))[0]


def packed(root: Path, name: str, protocol: Protocol) -> Scene:
    """The scene opened again after packing."""
    scene = opened(root, name, protocol)
    write_packed(scene, scene_folder(root, protocol.dataset, name))
    return opened(root, name, protocol)


def assert_same_frames(one: Scene, other: Scene) -> None:
    for index in range(len(one)):
        for part in PARTS:
            left, right = getattr(one, part)(index), getattr(other, part)(index)
            assert (left is None) == (right is None)
            assert left is None or (left.dtype == right.dtype and torch.equal(left, right))
