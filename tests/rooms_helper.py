"""Rooms shared by the tests, and independent ways to ask where things are in them."""

from functools import cache

import numpy as np

from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.procedural.shapes import Shape
from gpnerf.data.procedural.solids import Solids
from gpnerf.data.rooms import Room, generate_room, room_path

SEEDS = range(6)  # one room of each kind
WIDTH, HEIGHT = 160, 128
SCANNET = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39}


@cache
def room(seed: int) -> Room:
    return generate_room(seed)


@cache
def walk(seed: int) -> np.ndarray:
    return room_path(room(seed), seed, 40, camera_intrinsics("scannet", WIDTH, HEIGHT), HEIGHT, WIDTH)


def inside(solids: Solids, k: int, points: np.ndarray, slack: float = 0.0) -> np.ndarray:
    """Whether points lie in solid k shrunk by `slack` metres, from the definition of each shape."""
    local = np.abs((points - solids.centres[k]) @ solids.rotations[k]) / np.maximum(solids.halves[k] - slack, 1e-6)
    if solids.shapes[k] == Shape.BOX:
        return (local < 1).all(-1)
    if solids.shapes[k] == Shape.CYLINDER:
        return (np.hypot(local[..., 0], local[..., 1]) < 1) & (local[..., 2] < 1)
    return np.linalg.norm(local, axis=-1) < 1


def unproject(depth: np.ndarray, pose: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    rays = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones_like(depth)], -1)
    return (rays * depth[..., None]).reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3]


def covisible(depth_a, pose_a, depth_b, pose_b, matrix):
    """Mask over the pixels of A whose surface B sees too (depth within 2%), and where in B (nearest pixel)."""
    cam = (unproject(depth_a, pose_a, matrix) - pose_b[:3, 3]) @ pose_b[:3, :3]
    z = np.maximum(cam[:, 2], 1e-6)
    u = np.round(matrix[0, 0] * cam[:, 0] / z + matrix[0, 2]).astype(int)
    v = np.round(matrix[1, 1] * cam[:, 1] / z + matrix[1, 2]).astype(int)
    height, width = depth_b.shape
    seen = (cam[:, 2] > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
    return seen & (np.abs(depth_b[v, u] - z) < 0.02 * z), (v, u)
