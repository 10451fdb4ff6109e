"""A folder of photographs whose transforms.json or model the tests damage."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from posed_scenes import Transforms, transforms_of
from tiny_scenes import circle_pose, smooth_image

from gpnerf.data.posed_images import posed_images_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError

HEIGHT, WIDTH, FRAMES = 24, 32, 3
CAMERA = np.array([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]])
POSES = np.stack([circle_pose(number, FRAMES) for number in range(FRAMES)])


def open_own(folder: Path) -> Scene:
    """The scene in `folder` at the size of its photographs."""
    return posed_images_scene(folder, name="own", height=HEIGHT, width=WIDTH, label_map=None, cache=FrameCache(0))


def message_of(folder: Path) -> str:
    """The one line that opening ends with."""
    with pytest.raises(UserError) as caught:
        open_own(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_images(folder: Path) -> None:
    """The photographs of a tiny scene."""
    (folder / "images").mkdir(parents=True)
    for number in range(FRAMES):
        image = smooth_image(np.random.default_rng(number), HEIGHT, WIDTH)
        iio.imwrite(folder / "images" / f"{number}.png", image)


def content() -> Transforms:
    """The transforms.json of the images that `write_images` writes."""
    return transforms_of(POSES, CAMERA, (HEIGHT, WIDTH), [f"images/{number}.png" for number in range(FRAMES)])


def write_own(root: Path) -> Path:
    """Three images, no poses yet; beside their folder another one with images, which is none of its business."""
    for name in ("own", "other"):
        write_images(root / name)
    return root / "own"
