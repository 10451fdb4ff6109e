"""An augmented example is still one scene: cameras, pictures, depth and labels of all views agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_model import example

from gpnerf.data import augmentation
from gpnerf.data.augmentation import augmented
from gpnerf.geometry import camera_rays, inside_image, normalised_pixels, points_on_rays, project
from gpnerf.models.projection import read_maps
from gpnerf.structures import Cameras


@pytest.mark.parametrize("seed", range(5))
def test_a_point_in_space_keeps_its_colour_in_every_view(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "_recoloured", lambda images, rng: images)
    monkeypatch.setattr(augmentation, "_exposed", lambda images, rng: images)
    given = example(views=3, height=64, width=80)
    changed = augmented(given, np.random.default_rng(seed))
    assert not torch.equal(changed.target.camera.intrinsics, given.target.camera.intrinsics)
    pixels = torch.stack(torch.meshgrid(torch.arange(5, 75, 7), torch.arange(5, 60, 7), indexing="xy"), -1)
    rays = camera_rays(changed.target.camera, pixels.reshape(-1, 2))
    points = points_on_rays(rays, torch.full((len(rays.origins), 1), 2.0))
    views = {}
    for name, one in (("before", given), ("after", changed)):
        cameras = Cameras(
            torch.cat([one.target.camera.intrinsics[None], one.sources.cameras.intrinsics]),
            torch.cat([one.target.camera.cam_to_world[None], one.sources.cameras.cam_to_world]),
            64,
            80,
        )
        places, front = project(points, cameras)
        images = torch.cat([one.target.image[None], one.sources.images])
        views[name] = read_maps(images, normalised_pixels(places, 64, 80)), front & inside_image(places, 64, 80)
    both = (views["before"][1] & views["after"][1])[:, None].expand_as(views["before"][0])
    assert both[0].all() and both[1:].any()
    difference = (views["before"][0] - views["after"][0]).abs()[both]
    assert float(difference.mean()) < 0.01 and float(difference.max()) < 0.06


def test_depth_and_labels_move_with_their_pixels_and_stay_in_range() -> None:
    given = example(height=64, width=80)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(80), indexing="ij")
    target = replace(given.target, labels=rows * 80 + columns, depth=(1 + rows / 64 + columns / 80).float())
    for seed in range(8):
        changed = augmented(replace(given, target=target), np.random.default_rng(seed))
        labels, depth = changed.target.labels, changed.target.depth
        assert labels is not None and depth is not None
        source = torch.stack([labels % 80, labels // 80], dim=-1).double()
        zoom = changed.target.camera.intrinsics.double() @ torch.linalg.inv(given.target.camera.intrinsics.double())
        moved = source @ zoom[:2, :2].T + zoom[:2, 2]
        here = torch.stack([columns, rows], dim=-1).double()
        assert float((moved - here).abs().max()) <= 0.5 * 80 / 48 + 1e-6  # the nearest pixel
        assert torch.equal(depth, (1 + labels // 80 / 64 + labels % 80 / 80).float())
        assert changed.near < float(depth.min()) and float(depth.max()) < changed.far


def test_palettes_change_alike_in_all_views_and_greys_keep_their_order() -> None:
    given = example()
    ramp = torch.linspace(0.1, 0.9, 40).expand(3, 32, 40)
    given = replace(
        given,
        target=replace(given.target, image=ramp),
        sources=replace(given.sources, images=ramp[None].expand(2, -1, -1, -1)),
    )
    changed = augmented(given, np.random.default_rng(4))
    images = torch.cat([changed.target.image[None], changed.sources.images])
    assert float(images.min()) >= 0 and float(images.max()) <= 1
    assert bool((images.diff(dim=-1) >= -0.02).all())
    gains = images.mean(dim=(1, 2, 3)) / images.mean()
    assert float((gains - 1).abs().max()) < 0.15


def test_the_same_numbers_make_the_same_example() -> None:
    one, same, other = (augmented(example(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.target.image, same.target.image) and one.near == same.near
    assert not torch.equal(one.target.image, other.target.image)
