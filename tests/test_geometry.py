"""Pinhole geometry: round trips for random cameras, loops as references, invariance under rigid motions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpnerf import geometry
from gpnerf.structures import Cameras

seeds = st.integers(0, 2**32 - 1)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    rotation, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation = rotation * np.sign(np.diag(upper))
    return rotation * np.sign(np.linalg.det(rotation))


def random_pose(rng: np.random.Generator) -> torch.Tensor:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = random_rotation(rng), rng.uniform(-3, 3, 3)
    return torch.from_numpy(pose).float()


def random_camera(rng: np.random.Generator) -> Cameras:
    height, width = (int(x) for x in rng.integers(8, 60, 2))
    focal = rng.uniform(0.5, 2, 2) * width
    intrinsics = np.array([[focal[0], rng.uniform(-1, 1), width / 2], [0, focal[1], height / 2], [0, 0, 1]])
    return Cameras(torch.from_numpy(intrinsics).float(), random_pose(rng), height, width)


def as_views(camera: Cameras) -> Cameras:
    return Cameras(camera.intrinsics[None], camera.cam_to_world[None], camera.height, camera.width)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_a_point_on_a_ray_projects_to_its_pixel_and_z_is_its_depth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = random_camera(rng)
    pixels = geometry.pixel_grid(camera.height, camera.width, stride=5)
    z = torch.from_numpy(rng.uniform(0.1, 10, (len(pixels), 3))).float()
    points = geometry.points_on_rays(geometry.camera_rays(camera, pixels), z)
    projected, in_front = geometry.project(points, as_views(camera))
    assert bool(in_front.all())
    assert torch.allclose(projected[0], pixels[:, None].float().expand_as(projected[0]), atol=0.02)
    rotation, centre = camera.cam_to_world[:3, :3].double(), camera.cam_to_world[:3, 3].double()
    along_axis = (points.double() - centre) @ rotation[:, 2]
    assert torch.allclose(along_axis, z.double(), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_points_behind_or_at_the_camera_stay_finite_and_are_not_in_front(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = random_camera(rng)
    pose = camera.cam_to_world
    sideways = torch.from_numpy(rng.normal(size=(6, 1))).float() * pose[:3, 0]
    behind = pose[:3, 3] + sideways - torch.tensor([0.0, 0, 0, 0.3, 3, 1e4])[:, None] * pose[:3, 2]
    pixels, in_front = geometry.project(behind[:, None], as_views(camera))
    assert bool(pixels.isfinite().all()) and float(pixels.abs().max()) <= 1e6
    assert not in_front[0, 3:].any()
    at_centre, _ = geometry.project(pose[None, None, :3, 3], as_views(camera))
    assert bool(at_centre.isfinite().all())


def test_the_image_includes_its_border_and_nothing_beyond() -> None:
    x = torch.tensor([0.0, 7.0, -0.01, 7.01, 3.0, 3.0])
    y = torch.tensor([0.0, 4.0, 2.0, 2.0, -0.01, 4.01])
    inside = geometry.inside_image(torch.stack([x, y], dim=-1)[None, None], height=5, width=8)
    assert inside.flatten().tolist() == [True, True, False, False, False, False]


def test_normalised_pixels_read_back_the_pixels_themselves() -> None:
    image = torch.rand(1, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    pixels = geometry.pixel_grid(5, 7)
    grid = geometry.normalised_pixels(pixels[None, None].float(), 5, 7)
    read = torch.nn.functional.grid_sample(image, grid, align_corners=True)[0, :, 0]
    assert torch.allclose(read, image[0].flatten(1), atol=5e-5)


@pytest.mark.parametrize(("height", "width", "stride"), [(3, 4, 1), (5, 7, 2), (4, 4, 3), (1, 1, 2)])
def test_pixel_grid_lists_column_and_row_in_row_major_order(height: int, width: int, stride: int) -> None:
    expected = [[u, v] for v in range(height) if v % stride == 0 for u in range(width) if u % stride == 0]
    assert geometry.pixel_grid(height, width, stride).tolist() == expected


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3))
def test_unit_keeps_the_direction_and_never_divides_by_zero(values: list[float]) -> None:
    vector = torch.tensor(values)
    result = geometry.unit(vector)
    length = math.sqrt(sum(x * x for x in values))
    assert float(result.norm()) == pytest.approx(length / (length + 1e-6), abs=5e-5)
    assert torch.allclose(result * (length + 1e-6), vector, rtol=1e-4, atol=5e-5)


def loop_relative_direction(point: np.ndarray, target: np.ndarray, source: np.ndarray) -> list[float]:
    to_target = (target - point) / np.linalg.norm(target - point)
    to_source = (source - point) / np.linalg.norm(source - point)
    difference = to_target - to_source
    return [*(difference / np.linalg.norm(difference)), float(to_target @ to_source)]


def random_points(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(rng.uniform(-2, 2, (4, 3, 3))),
        torch.from_numpy(rng.uniform(4, 6, (3, 3))),
        torch.from_numpy(rng.uniform(-6, -4, (2, 3))),
    )


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_relative_directions_equal_an_explicit_loop(seed: int) -> None:
    points, targets, sources = random_points(seed)
    result = geometry.relative_directions(points, targets, sources)
    for ray in range(3):
        for sample in range(4):
            for view in range(2):
                arrays = points[sample, ray].numpy(), targets[ray].numpy(), sources[view].numpy()
                assert result[view, sample, ray].tolist() == pytest.approx(loop_relative_direction(*arrays), abs=5e-5)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_rigid_motion_of_everything_only_turns_relative_directions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation, shift = torch.from_numpy(random_rotation(rng)), torch.from_numpy(rng.uniform(-5, 5, 3))
    before = random_points(seed)
    still = geometry.relative_directions(*before)
    moved = geometry.relative_directions(*(x @ rotation.T + shift for x in before))
    assert torch.allclose(moved[..., :3], still[..., :3] @ rotation.T, atol=1e-8)
    assert torch.allclose(moved[..., 3], still[..., 3], atol=1e-8)


def test_the_same_direction_has_zero_difference_and_finite_gradients() -> None:
    points = torch.zeros(1, 1, 3, requires_grad=True)
    origin = torch.tensor([[0.0, 0.0, 2.0]])
    result = geometry.relative_directions(points, origin, origin)
    assert result.flatten().tolist() == pytest.approx([0, 0, 0, 1], abs=5e-5)
    result.sum().backward()
    assert points.grad is not None and bool(points.grad.isfinite().all())


@pytest.mark.parametrize("octaves", [0, 1, 10])
def test_positional_encoding_equals_a_loop(octaves: int) -> None:
    values = torch.tensor([[0.3, -1.7, 2.0], [0.0, 5.0, -0.25]], dtype=torch.float64)
    encoded = geometry.positional_encoding(values, octaves)
    assert encoded.shape == (2, 3 * (1 + 2 * octaves))
    for row, numbers in zip(encoded.tolist(), values.tolist(), strict=True):
        waves = [f(2.0**k * x) for k in range(octaves) for f in (math.sin, math.cos) for x in numbers]
        assert row == pytest.approx([*numbers, *waves], abs=1e-12)


def test_geometry_is_not_rounded_under_autocast() -> None:
    rng = np.random.default_rng(0)
    camera = random_camera(rng)
    pixels = geometry.pixel_grid(camera.height, camera.width)
    points = torch.from_numpy(rng.uniform(-3, 3, (5, 4, 3))).float()
    plain = (geometry.camera_rays(camera, pixels).directions, geometry.project(points, as_views(camera))[0])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = (geometry.camera_rays(camera, pixels).directions, geometry.project(points, as_views(camera))[0])
    for a, b in zip(plain, mixed, strict=True):
        assert torch.equal(a, b)
