"""The scene that is rendered: a procedural room, made in memory, seen by cameras that share what they see."""

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from gpnerf import geometry, sampling
from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.rooms import generate_room, render_frame, room_path
from gpnerf.data.view_selection import nearest, pose_distances
from gpnerf.errors import UserError
from gpnerf.structures import Cameras, Example, Rays, SourceViews, TargetView

_SEED = 1
_FRAMES = 40
_TARGET = 20


def room_example(height: int, width: int, views: int, classes: int, near: float, far: float) -> Example:
    """A target in the middle of a walk through a room, with truth, and the nearest other frames as its sources.

    The categories' numbers are taken modulo `classes` + 1: what they mean makes no difference to time.
    Raises UserError if the walk has fewer frames than `views`.
    """
    if views >= _FRAMES:
        raise UserError(f"--views: expected at most {_FRAMES - 1}, found {views}")
    room = generate_room(_SEED)
    intrinsics = camera_intrinsics("scannet", width, height)
    poses = room_path(room, _SEED, _FRAMES, intrinsics, height, width)
    others = np.arange(_FRAMES) != _TARGET
    sources = nearest(pose_distances(poses, _TARGET), others, views).tolist()
    target, *seen = (render_frame(room, poses[k], intrinsics, height, width) for k in (_TARGET, *sources))
    matrix = torch.from_numpy(intrinsics).float()
    every = torch.from_numpy(poses).float()
    photos = [torch.from_numpy(frame.rgb).permute(2, 0, 1) / 255 for frame in (target, *seen)]
    labels = torch.from_numpy(target.labels).long() % (classes + 1)
    return Example(
        scene=f"room of seed {_SEED}",
        frame=_TARGET,
        target=TargetView(
            Cameras(matrix, every[_TARGET], height, width), photos[0], torch.from_numpy(target.depth), labels
        ),
        sources=SourceViews(
            Cameras(matrix.expand(views, 3, 3), every[sources], height, width), torch.stack(photos[1:])
        ),
        source_frames=tuple(sources),
        near=near,
        far=far,
    )


def visibility(example: Example, rays: Rays, samples: int, inverse: bool) -> dict[str, float]:
    """How much of the work a renderer could skip, over the pairs of coarse sample and source view.

    `visible`: the share of pairs in front of the camera and inside the image. `needed`: those, and all pairs of
    samples that no view sees, which average over every view instead.
    """
    depths = sampling.coarse_depths(
        len(rays.origins), example.near, example.far, samples, inverse, device=rays.origins.device
    )
    mask = _mask(example, geometry.points_on_rays(rays, depths))
    unseen = ~mask.any(dim=0, keepdim=True)
    return {"visible": mask.float().mean().item(), "needed": (mask | unseen).float().mean().item()}


def _mask(example: Example, points: Tensor) -> Bool[Tensor, "views rays samples"]:
    cameras = example.sources.cameras
    pixels, in_front = geometry.project(points, cameras)
    return in_front & geometry.inside_image(pixels, cameras.height, cameras.width)
