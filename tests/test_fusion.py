"""Fused volumes, their surfaces and the votes on them, on planes and balls of known place."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpnerf.errors import UserError
from gpnerf.fusion.grid import Grid, bounds
from gpnerf.fusion.observation import Observation
from gpnerf.fusion.reading import read_depth
from gpnerf.fusion.reconstruction import FusionSettings, reconstruct
from gpnerf.fusion.surface import extract_surface
from gpnerf.fusion.volume import Volume
from gpnerf.fusion.votes import NONE, collect_votes
from gpnerf.structures import Cameras

pytest.importorskip("skimage", reason="scikit-image is not installed")

SIDE, FOCAL = 64, 60.0
RADIUS, AWAY = 0.5, 1.6


def camera(direction: np.ndarray) -> Cameras:
    """A camera `AWAY` metres from the origin in a direction, looking at it."""
    forward = -direction / np.linalg.norm(direction)
    right = np.cross(forward, [0.3, 0.2, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = -AWAY * forward
    middle = (SIDE - 1) / 2
    intrinsics = torch.tensor([[FOCAL, 0, middle], [0, FOCAL, middle], [0, 0, 1]])
    return Cameras(intrinsics, torch.from_numpy(pose).float(), SIDE, SIDE)


def pixel_rays(view: Cameras) -> np.ndarray:
    """Directions of all pixels in world axes, 1 long along the camera's axis; one by one, from the definition."""
    inverse = np.linalg.inv(view.intrinsics.numpy().astype(float))
    rotation = view.cam_to_world[:3, :3].numpy().astype(float)
    return np.array([[rotation @ inverse @ [u, v, 1] for u in range(SIDE)] for v in range(SIDE)])


def ball(direction: np.ndarray) -> Observation:
    """What a camera sees of a ball at the origin: depth, a colour and classes by the side, instance 1 of 2."""
    view = camera(direction)
    rays, eye = pixel_rays(view), view.cam_to_world[:3, 3].numpy().astype(float)
    a, b, c = (rays**2).sum(-1), rays @ eye, eye @ eye - RADIUS**2
    hit = b**2 > a * c
    depth = np.where(hit, (-b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a, 0)
    upper = (eye + depth[..., None] * rays)[..., 2] > 0
    image = np.stack([upper, ~upper, np.ones_like(upper)]).astype(np.float32)
    classes = np.stack([upper & hit, ~upper & hit, np.zeros_like(hit)]).astype(np.float32)
    instances = np.stack([np.zeros_like(hit), hit]).astype(np.float32)
    tensors = (torch.from_numpy(x.astype(np.float32)) for x in (image, depth, classes, instances))
    return Observation(view, *tensors)


def all_round(count: int = 14) -> list[Observation]:
    directions = np.random.default_rng(0).normal(size=(count - 6, 3))
    return [ball(d) for d in (*np.eye(3), *-np.eye(3), *directions)]


FINE = FusionSettings(voxel=0.03, truncation=3.0, smallest_piece=1, memory_budget=1.0)


def test_a_ball_comes_out_round_whole_and_outward() -> None:
    surface, _ = reconstruct(all_round(), FINE)
    radius = np.linalg.norm(surface.vertices, axis=1)
    assert np.quantile(np.abs(radius - RADIUS), 0.95) < 0.01
    assert ((surface.normals * surface.vertices).sum(1) > 0.9 * radius).mean() > 0.95
    corners = surface.vertices[surface.faces]
    turned = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((turned * corners.mean(1)).sum(1) > 0).all()  # anticlockwise from outside
    # The volume that the triangles enclose, by the divergence theorem; a hole or a second shell would change it.
    enclosed = np.einsum("fi,fi->", corners[:, 0], turned) / 6
    assert enclosed == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)


def test_vertices_get_the_colour_class_and_instance_of_the_pixels_that_show_them() -> None:
    surface, looks = reconstruct(all_round(), FINE)
    upper = surface.vertices[:, 2] > 0
    clear = np.abs(surface.vertices[:, 2]) > 0.05
    assert looks.classes is not None and looks.instances is not None
    assert ((looks.classes.numpy() == np.where(upper, 0, 1)) | ~clear).all()
    assert (looks.instances == 1).all()
    expected = np.stack([upper, ~upper, np.ones_like(upper)], axis=1)
    assert np.abs(looks.colour.numpy() - expected)[clear].max() < 5e-5


def test_votes_do_not_depend_on_the_blocks_of_vertices() -> None:
    views = all_round(8)
    surface, whole = reconstruct(views, FINE)
    blocks = collect_votes(surface, views, 0.09, memory_budget=1e-5)
    assert torch.equal(whole.colour, blocks.colour)
    assert whole.classes is not None and torch.equal(whole.classes, blocks.classes)


def test_pixels_without_a_class_give_none() -> None:
    views = [Observation(v.camera, v.image, v.depth, torch.zeros(3, SIDE, SIDE)) for v in all_round(8)]
    _, looks = reconstruct(views, FINE)
    assert (looks.classes == NONE).all() and looks.instances is None


def test_what_no_view_sees_from_its_front_is_left_out() -> None:
    """A single view knows one side of the ball only: nothing may be put behind it."""
    surface, looks = reconstruct([ball(np.array([1.0, 0, 0]))], FINE)
    assert looks.seen.all()
    assert surface.vertices[:, 0].min() > 0
    assert np.quantile(np.abs(np.linalg.norm(surface.vertices, axis=1) - RADIUS), 0.9) < 0.02


def test_fusing_equals_a_loop_over_voxels() -> None:
    """The running average against a list of each voxel's measurements, for nearest-pixel depth."""
    views = [ball(np.array(d)) for d in ([1.0, 0.2, 0], [0.8, 0.5, 0.3])]
    grid = Grid((0.2, -0.2, -0.1), (9, 8, 7), 0.05)
    volume, flat = Volume(grid, 0.15), []
    for view in views:
        pixelated = torch.full((SIDE, SIDE), 1.2)  # a plane: between pixels it is what it is at pixels
        volume.integrate(view.camera, pixelated)
        flat.append((np.linalg.inv(view.camera.cam_to_world.numpy()), view.camera.intrinsics.numpy()))
    for index in np.ndindex(grid.shape):
        point = np.append(np.array(grid.origin) + 0.05 * np.array(index), 1)
        found = []
        for to_camera, intrinsics in flat:
            x, y, z = to_camera[:3] @ point
            u, v = intrinsics[0, 0] * x / z + intrinsics[0, 2], intrinsics[1, 1] * y / z + intrinsics[1, 2]
            signed = (1.2 - z) / 0.15
            if min(u, v) >= 0 and max(u, v) <= SIDE - 1 and signed > -1:
                found.append((min(signed, 1), 1 / z**2))
        weight = sum(w for _, w in found)
        assert float(volume.weight[index]) == pytest.approx(weight, rel=1e-4)
        if found:
            assert float(volume.distance[index]) == pytest.approx(sum(s * w for s, w in found) / weight, abs=1e-4)


def test_surfaces_keep_away_from_voxels_that_no_view_has_seen() -> None:
    volume = Volume(Grid((0.0, 0.0, 0.0), (6, 6, 6), 1.0), 1.0)
    volume.distance[:] = (torch.arange(6.0) - 2.5).clamp(-1, 1)[:, None, None]
    volume.weight[:, :3] = 1
    surface = extract_surface(volume)
    assert np.allclose(surface.vertices[:, 0], 2.5) and surface.vertices[:, 1].max() == 2
    assert np.allclose(surface.normals, [1, 0, 0], atol=5e-5)
    volume.weight[:] = 0
    with pytest.raises(UserError, match="expected a surface"):
        extract_surface(volume)


planes = st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.5, 5))


@given(planes, st.floats(0, SIDE - 1), st.floats(0, SIDE - 1))
@settings(max_examples=50, deadline=None)
def test_depth_between_pixels_is_exact_on_planes(plane: tuple[float, float, float], u: float, v: float) -> None:
    slope_x, slope_y, distance = plane  # z = distance + slope_x x + slope_y y
    rows, columns = np.mgrid[:SIDE, :SIDE]
    x, y = (columns - 31.5) / FOCAL, (rows - 31.5) / FOCAL
    depth = torch.from_numpy(distance / (1 - slope_x * x - slope_y * y)).float()
    expected = distance / (1 - slope_x * (u - 31.5) / FOCAL - slope_y * (v - 31.5) / FOCAL)
    assert float(read_depth(depth, torch.tensor([[u, v]]).float())[0]) == pytest.approx(expected, rel=1e-4)


def test_depth_across_a_border_is_that_of_one_side() -> None:
    depth = torch.tensor([[1.0, 3.0, 0.0]]).repeat(3, 1)
    pixels = torch.tensor([[0.4, 1.0], [0.6, 1.0], [1.4, 1.0], [1.6, 1.0], [2.0, 2.0], [0.0, 0.0]])
    assert read_depth(depth, pixels).tolist() == [1, 3, 3, 0, 0, 1]


def test_bounds_hold_every_seen_point() -> None:
    low, high = bounds(all_round(8))
    assert np.allclose([low.numpy(), high.numpy()], [[-RADIUS] * 3, [RADIUS] * 3], atol=0.05)
    blind = [Observation(v.camera, v.image, torch.zeros(SIDE, SIDE)) for v in all_round(7)]
    with pytest.raises(UserError, match="expected depth in the 7 views, found none"):
        bounds(blind)


def test_a_volume_that_does_not_fit_is_refused_with_a_voxel_that_does() -> None:
    low, high = torch.zeros(3), torch.tensor([20.0, 10, 3])
    with pytest.raises(
        UserError, match=r"--voxel 0.002: .*20\.0 x 10\.0 x 3\.0 m of .* GB; try --voxel (\S+)"
    ) as error:
        Grid.around(low, high, 0.002, 0.01).require_memory(4.0)
    proposed = float(str(error.value).split()[-1])
    assert 3 < Grid.around(low, high, proposed, 0.01).memory <= 4


@given(st.floats(0.01, 0.2), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_grid_reaches_beyond_its_corners(voxel: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.normal(size=3)
    high = low + rng.uniform(0, 2, 3)
    grid = Grid.around(torch.from_numpy(low), torch.from_numpy(high), voxel, 0.1)
    last = np.array(grid.origin) + voxel * (np.array(grid.shape) - 1)
    assert (np.array(grid.origin) <= low - 0.1 + 1e-9).all()
    assert (last >= high + 0.1 - 1e-9).all() and (last <= high + 0.1 + 1.01 * voxel).all()
