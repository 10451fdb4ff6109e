"""Tiny models, and scenes of random smooth photos, that take milliseconds."""

from typing import Any

import torch
import torch.nn.functional as F
from tiny_scenes import circle_pose

from gpnerf.assembly.model import Architecture
from gpnerf.geometry import camera_rays
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.structures import Cameras, Example, Rays, SourceViews, TargetView

NEAR, FAR = 0.5, 6.0
CLASSES = 3


def architecture(**changes: Any) -> Architecture:
    """The smallest model with every part, but for `changes`.

    The head has two channels a group, because PyTorch refuses to normalise the single value of one.
    """
    sizes: dict[str, Any] = {
        "netwidth": 16, "trans_depth": 2, "coarse_features": 8, "fine_features": 0, "encoder_width": 4,
        "encoder_blocks": (1, 1, 1), "head_width": 64, "outputs": CLASSES + 1, "semantic_model": "fpn",
        "adaptor_relu": True, "dropout": 0.1, "samples": 6, "importance": 3, "inverse": True, "plain": False,
        "insert": True, "detach_reference": True, "compat": "none",
    }  # fmt: skip
    return Architecture(**{**sizes, **changes})


def model(seed: int = 0, **changes: Any) -> GPNeRF:
    """A model with seeded weights, in evaluation mode."""
    torch.manual_seed(seed)
    return architecture(**changes).build().eval()


def cameras(count: int, height: int, width: int) -> Cameras:
    """Cameras on a circle that look at its centre."""
    intrinsics = torch.tensor([[0.9 * width, 0, (width - 1) / 2], [0, 0.9 * width, (height - 1) / 2], [0, 0, 1]])
    poses = torch.stack([torch.from_numpy(circle_pose(index, 16)) for index in range(count)])
    poses = poses.to(torch.get_default_dtype())
    return Cameras(intrinsics.expand(count, 3, 3), poses, height, width)


def one(several: Cameras, index: int) -> Cameras:
    return Cameras(several.intrinsics[index], several.cam_to_world[index], several.height, several.width)


def example(views: int = 2, height: int = 32, width: int = 40, seed: int = 0) -> Example:
    """A target (the first camera) and its source views, with depth and labels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(views + 1, 3, 5, 6, generator=generator)
    photos = F.interpolate(coarse, size=(height, width), mode="bilinear")
    every = cameras(views + 1, height, width)
    return Example(
        scene="tiny",
        frame=0,
        target=TargetView(
            one(every, 0),
            photos[0],
            NEAR + torch.rand(height, width, generator=generator),
            torch.randint(0, CLASSES + 1, (height, width), generator=generator),
        ),
        sources=SourceViews(Cameras(every.intrinsics[1:], every.cam_to_world[1:], height, width), photos[1:]),
        source_frames=tuple(range(1, views + 1)),
        near=NEAR,
        far=FAR,
    )


def rays_of(given: Example, count: int = 12, seed: int = 0) -> Rays:
    """Rays of random pixels of the target."""
    camera = given.target.camera
    flat = torch.randperm(camera.height * camera.width, generator=torch.Generator().manual_seed(seed))[:count]
    return camera_rays(camera, torch.stack([flat % camera.width, flat // camera.width], dim=-1))
