"""Writes tiny scenes of smooth random images, in the ScanNet and in the Replica layout."""

from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np

from gpnerf.data.files import rescale_intrinsics

SCANNET_TABLE = {1: 1, 2: 5, 7: 7, 11: 40, 38: 3, 1191: 39}  # raw id -> nyu40 id; 40 is none of the 20 classes
INTRINSICS = np.array([[60.0, 0, 31.5], [0, 62.0, 23.5], [0, 0, 1]])  # of 64x48 pixels
RELEASED = np.array([[1215.0, 0, 647.5], [0, 1250.0, 483.5], [0, 0, 1]])  # of the 1296x968 of ScanNet's own pictures


def smooth_image(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A blurred random RGB image, uint8."""
    coarse = rng.uniform(0, 255, (4, 5, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def circle_pose(index: int, count: int) -> np.ndarray:
    """Camera to world of one of `count` places on a circle of 2 m, looking at its centre, z up."""
    angle = 2 * np.pi * index / count
    forward = -np.array([np.cos(angle), np.sin(angle), 0.1 * np.sin(3 * angle)])
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = [2 * np.cos(angle) + 0.3, 2 * np.sin(angle), 1.2]
    return pose


def write_label_table(folder: Path) -> Path:
    """ScanNet's label table, CRLF as the real one, with the ids of `SCANNET_TABLE`."""
    rows = [f"{raw}\tthing {raw}\t{nyu40}" for raw, nyu40 in SCANNET_TABLE.items()]
    path = folder / "scannetv2-labels.combined.tsv"
    path.write_bytes("\r\n".join(["id\traw_category\tnyu40id", *rows, ""]).encode())
    return path


def write_scannet(
    folder: Path, frames: int = 16, height: int = 48, width: int = 64, labels: bool = True, depth: bool = True
) -> Path:
    """A scene folder in the ScanNet layout; depth is of another size than colour, as in ScanNet."""
    rng = np.random.default_rng(0)
    parts = ["color", "pose", "intrinsic", *["depth"] * depth, *["label-filt", "instance-filt"] * labels]
    for part in parts:
        (folder / part).mkdir(parents=True)
    for number in range(frames):
        iio.imwrite(folder / "color" / f"{number}.jpg", smooth_image(rng, height, width), quality=95)
        np.savetxt(folder / "pose" / f"{number}.txt", circle_pose(number, frames))
        if depth:
            iio.imwrite(folder / "depth" / f"{number}.png", _depth(rng, height // 2, width // 2))
        if labels:
            raw = rng.choice([0, *SCANNET_TABLE], (height, width)).astype(np.uint16)
            iio.imwrite(folder / "label-filt" / f"{number}.png", raw)
            iio.imwrite(folder / "instance-filt" / f"{number}.png", rng.integers(0, 5, (height, width), dtype=np.uint8))
    write_intrinsics(folder, rescale_intrinsics(INTRINSICS, (width / 64, height / 48)))
    return folder


def write_intrinsics(folder: Path, intrinsics: np.ndarray) -> None:
    """The cameras of a scene folder in the ScanNet layout."""
    matrix = np.eye(4)
    matrix[:3, :3] = intrinsics
    for name in ("intrinsic_color", "extrinsic_color", "intrinsic_depth", "extrinsic_depth"):
        np.savetxt(folder / "intrinsic" / f"{name}.txt", matrix if name.startswith("intrinsic") else np.eye(4))


def write_replica(folder: Path, frames: int = 16, height: int = 48, width: int = 64) -> Path:
    """One sequence folder in the Replica layout, with classes and instances."""
    rng = np.random.default_rng(1)
    for part in ("rgb", "depth", "semantic_class", "semantic_instance"):
        (folder / part).mkdir(parents=True)
    for number in range(frames):
        iio.imwrite(folder / "rgb" / f"rgb_{number}.png", smooth_image(rng, height, width))
        iio.imwrite(folder / "depth" / f"depth_{number}.png", _depth(rng, height, width))
        for part in ("semantic_class", "semantic_instance"):
            values = rng.integers(0, 101, (height, width), dtype=np.uint8)
            iio.imwrite(folder / part / f"{part}_{number}.png", values)
    np.savetxt(folder / "traj_w_c.txt", [circle_pose(number, frames).ravel() for number in range(frames)])
    return folder


def _depth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(300, 4000, (height, width)).astype(np.uint16)
