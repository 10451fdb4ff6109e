"""Full views: the same picture however it is cut into chunks, at every stride, for odd sizes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from golden_files import assert_close
from tiny_model import CLASSES, FAR, NEAR, cameras, example, model, one

from gpnerf.geometry import camera_rays, pixel_grid
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.rendering import Chunking, render_view
from gpnerf.structures import Cameras, ImageOutput, Wanted

SIZES = [(9, 13), (12, 16), (8, 7)]


def target(height: int, width: int) -> Cameras:
    return one(cameras(1, height, width), 0)


def render(network: GPNeRF, camera: Cameras, **options: Any) -> ImageOutput:
    with torch.no_grad():
        maps = network.encode_sources(example().sources)
    return render_view(network, maps, camera, NEAR, FAR, **options)


def assert_same(a: ImageOutput, b: ImageOutput) -> None:
    for name, tolerance in (("rgb", 5e-5), ("depth", 5e-5), ("features", 5e-5), ("logits", 1e-4)):
        assert_close(getattr(a, name), getattr(b, name), tolerance)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_picture_does_not_depend_on_the_chunk_size(stride: int) -> None:
    network, camera = model(), target(9, 13)
    whole = render(network, camera, stride=stride, chunking=Chunking(10_000))
    for rays in (1, 7, 35):
        assert_same(render(network, camera, stride=stride, chunking=Chunking(rays)), whole)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_leaves_pixels_out_and_changes_no_other(height: int, width: int, stride: int) -> None:
    network, camera = model(), target(height, width)
    full, sparse = render(network, camera), render(network, camera, stride=stride)
    assert torch.allclose(sparse.rgb, full.rgb[:, ::stride, ::stride], atol=5e-5)
    assert torch.allclose(sparse.depth, full.depth[::stride, ::stride], atol=5e-5)
    assert_same(replace(sparse, rgb=full.rgb, depth=full.depth), full)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("stride", [1, 2])
def test_sizes(height: int, width: int, stride: int) -> None:
    output = render(model(), target(height, width), stride=stride)
    assert output.features is not None and output.logits is not None
    assert output.features.shape == (128, (height + 1) // 2, (width + 1) // 2)
    assert output.logits.shape == (CLASSES + 1, height, width)
    assert output.rgb.shape == (3, *output.depth.shape)
    assert output.depth.shape == (-(-height // stride), -(-width // stride))


def test_every_pixel_is_what_its_ray_renders() -> None:
    network, camera = model(), target(9, 13)
    output = render(network, camera, chunking=Chunking(11))
    with torch.no_grad():
        maps = network.encode_sources(example().sources)
        _, fine = network.renderer(camera_rays(camera, pixel_grid(9, 13)), maps, NEAR, FAR, Wanted(features=True))
    assert torch.allclose(output.rgb, fine.rgb.T.reshape(3, 9, 13), atol=5e-5)
    assert torch.allclose(output.depth, fine.depth.reshape(9, 13), atol=5e-5)
    assert output.features is not None
    assert torch.allclose(output.features, fine.features.T.reshape(-1, 9, 13)[:, ::2, ::2], atol=5e-5)


@pytest.mark.parametrize("changes", [{}, {"importance": 0}, {"fine_features": 8}])
def test_depths_lie_between_near_and_far(changes: dict[str, Any]) -> None:
    depth = render(model(**changes), target(9, 13)).depth
    assert float(depth.min()) >= NEAR and float(depth.max()) <= FAR * (1 + 5e-5)


def test_rendering_is_deterministic() -> None:
    network, camera = model(), target(9, 13)
    first = render(network, camera)
    torch.manual_seed(99)
    second = render(network, camera)
    assert torch.equal(first.rgb, second.rgb) and torch.equal(first.depth, second.depth)


def test_without_semantics_there_are_colour_and_depth_only() -> None:
    network, camera = model(), target(9, 13)
    full, plain = render(network, camera), render(network, camera, semantics=False)
    assert plain.features is None and plain.logits is None
    assert torch.allclose(plain.rgb, full.rgb, atol=5e-5) and torch.allclose(plain.depth, full.depth, atol=5e-5)


@pytest.mark.parametrize(("height", "width"), [(12, 16), (9, 13)])
def test_label_rendering_spreads_the_logits_of_every_second_ray(height: int, width: int) -> None:
    network, camera = model(semantic_model="fc"), target(height, width)
    output = render(network, camera)
    assert output.features is None and output.logits is not None
    assert output.logits.shape == (CLASSES + 1, height, width)
    with torch.no_grad():
        maps = network.encode_sources(example().sources)
        _, fine = network.renderer(camera_rays(camera, pixel_grid(height, width, 2)), maps, NEAR, FAR)
    assert torch.allclose(output.logits[:, 0, 0], fine.logits[0], atol=5e-5)  # corners meet
    if height % 2 == width % 2 == 0:
        assert torch.allclose(output.logits[:, -1, -1], fine.logits[-1], atol=5e-5)
    low, high = fine.logits.min(dim=0).values, fine.logits.max(dim=0).values
    spread = output.logits.flatten(1)
    assert bool((spread >= low[:, None] - 5e-5).all()) and bool((spread <= high[:, None] + 5e-5).all())


def test_the_order_of_the_source_views_does_not_change_the_picture() -> None:
    network, camera, sources = model(), target(8, 8), example(views=4).sources
    order = torch.tensor([2, 0, 3, 1])
    every = sources.cameras
    turned = replace(
        sources,
        images=sources.images[order],
        cameras=replace(every, intrinsics=every.intrinsics[order], cam_to_world=every.cam_to_world[order]),
    )
    pictures = [render_view(network, network.encode_sources(x), camera, NEAR, FAR) for x in (sources, turned)]
    assert torch.allclose(pictures[0].rgb, pictures[1].rgb, atol=1e-4)
    assert torch.allclose(pictures[0].logits, pictures[1].logits, atol=1e-3)
