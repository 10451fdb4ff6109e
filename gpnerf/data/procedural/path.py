"""A hand-held walk through the free space of a room that looks at its furniture."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gpnerf.data.procedural.raycast import cast
from gpnerf.data.procedural.solids import Solids

_CLEARANCE = 0.5  # metres between the camera and anything
_CANDIDATES = 400
_PREVIEWS = 6
_PREVIEW = (15, 20)

Angles = Float[np.ndarray, "frames"]


@dataclass(frozen=True)
class _Walk:
    positions: Float[np.ndarray, "frames 3"]
    yaw: Angles
    pitch: Angles
    roll: Angles

    def poses(self) -> Float[np.ndarray, "frames 4 4"]:
        return look(self.positions, self.yaw, self.pitch, self.roll)


def look(
    positions: Float[np.ndarray, "frames 3"], yaw: Angles, pitch: Angles, roll: Angles
) -> Float[np.ndarray, "frames 4 4"]:
    """Camera-to-world matrices (OpenCV axes, world z up): yaw about z from +x, pitch up, roll clockwise (radians)."""
    level = np.zeros_like(yaw)
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], 1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), level], 1)
    down = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.tile(np.eye(4), (len(yaw), 1, 1))
    poses[:, :3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=2)
    poses[:, :3, 3] = positions
    return poses


def camera_path(
    solids: Solids,
    labels: Int[np.ndarray, "solids"],
    frames: int,
    intrinsics: Float[np.ndarray, "3 3"],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Float[np.ndarray, "frames 4 4"]:
    """The best of many random walks: clear of all solids, and with many kinds of things in view from a fair distance.

    `labels` names the kind of every solid, 0 for what is not worth looking at; `size` is the (height, width) that
    belongs to the intrinsics.
    """
    walks = [_walk(solids, frames, rng) for _ in range(_CANDIDATES)]
    spaces = [clearance(solids, walk.positions) for walk in walks]
    safe = [walk for walk, space in zip(walks, spaces, strict=True) if space >= min(_CLEARANCE, max(spaces))]
    safe.sort(key=lambda walk: -_outlook(solids, labels, walk, intrinsics, size))
    scale = np.diag([_PREVIEW[1] / size[1], _PREVIEW[0] / size[0], 1.0])
    return max(safe[:_PREVIEWS], key=lambda walk: _interest(solids, labels, walk, scale @ intrinsics)).poses()


def _walk(solids: Solids, frames: int, rng: np.random.Generator) -> _Walk:
    """An arc around some point that looks across it, with the sway of a hand."""
    room = solids.halves[0]
    radius = rng.uniform(0.4, 1.0, 2) * np.minimum(room[:2] - 0.55, 1.5)
    step, turn = rng.uniform(0.09, 0.13), np.deg2rad(rng.uniform(2.8, 4.2))
    sense, start = rng.choice((-1, 1)), rng.uniform(0, 2 * np.pi)
    centre = rng.uniform(-1, 1, 2) * np.maximum(room[:2] - 0.5 - radius, 0)
    # Equal steps along the ellipse: the angles at which its length reaches multiples of the step.
    angle = start + sense * np.linspace(0, step * frames / radius.min(), 500)
    ellipse = radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ellipse, axis=0), axis=1))])
    at = np.interp(step * np.arange(frames), length, angle)
    flat = centre + radius * np.stack([np.cos(at), np.sin(at)], 1)
    flat += 0.03 * np.stack([_sway(frames, rng), _sway(frames, rng)], 1)
    inward = 0.5 * centre - flat[frames // 2]
    time = np.arange(frames) - (frames - 1) / 2
    yaw = np.arctan2(inward[1], inward[0]) + rng.uniform(-0.8, 0.8) + sense * turn * time + 0.05 * _sway(frames, rng)
    height = solids.centres[0][2] - room[2] + rng.uniform(1.35, 1.65) + 0.05 * _sway(frames, rng)
    pitch = np.deg2rad(rng.uniform(-23, -13)) + 0.05 * _sway(frames, rng)
    return _Walk(np.column_stack([flat, height]), yaw, pitch, 0.02 * _sway(frames, rng))


def _sway(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "frames"]:
    """A slow random wave of about unit size."""
    time = np.arange(frames)
    periods, phases = rng.uniform(14, 40, 3), rng.uniform(0, 2 * np.pi, 3)
    return np.sin(2 * np.pi * time[:, None] / periods + phases).mean(1)


def clearance(solids: Solids, positions: Float[np.ndarray, "frames 3"]) -> float:
    """The least distance (metres) from any position to the box around any solid, or to the walls."""
    offset = positions[:, None] - solids.centres[1:]
    local = np.abs(np.einsum("kji,fkj->fki", solids.rotations[1:], offset)) - solids.halves[1:]
    outside = np.linalg.norm(np.maximum(local, 0), axis=-1).min()
    walls = (solids.halves[0] - np.abs(positions - solids.centres[0])).min()
    return float(min(outside, walls + 0.1))


def _outlook(solids: Solids, labels: np.ndarray, walk: _Walk, intrinsics: np.ndarray, size: tuple[int, int]) -> float:
    """A guess at what is in view, blind to occlusion: the share of frames that show each kind, rooted and summed."""
    poses = walk.poses()
    cam = np.einsum("fki,fij->fkj", solids.centres - walk.positions[:, None], poses[:, :3, :3])
    pixel = (cam @ intrinsics.T)[..., :2] / np.maximum(cam[..., 2:], 0.1)
    seen = (cam[..., 2] > 0.8) & (pixel > 0).all(-1) & (pixel < size[::-1]).all(-1)
    return float(sum(np.sqrt(seen[:, labels == kind].any(1).mean()) for kind in np.unique(labels[labels > 0])))


def _interest(solids: Solids, labels: np.ndarray, walk: _Walk, intrinsics: np.ndarray) -> float:
    """The share of coarse previews that each kind fills, rooted and summed; less when something is too close."""
    hits = [cast(solids, pose, intrinsics, *_PREVIEW) for pose in walk.poses()[:: max(len(walk.positions) // 6, 1)]]
    near = min(float(np.percentile(hit.depth, 10)) for hit in hits)
    seen = labels[np.stack([hit.solid for hit in hits])]
    share = np.bincount(seen.ravel()) / seen.size
    return float(np.sqrt(share[1:]).sum()) * min(near, 1.0)
