"""The geometry of procedural rooms against marching along rays and brute force."""

import numpy as np
import pytest
from rooms_helper import inside, room, unproject, walk

from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.procedural.light import blocked, occluders
from gpnerf.data.procedural.materials import Material
from gpnerf.data.procedural.shapes import Item, Shape, block
from gpnerf.data.procedural.solids import crossing, from_cube, onto_cube, pack
from gpnerf.data.rooms import render_frame

GREY = Material("plain", (0.5, 0.5, 0.5), (0.6, 0.6, 0.6))


@pytest.mark.parametrize("shape", list(Shape))
def test_crossing_agrees_with_marching_along_the_ray(shape: Shape) -> None:
    rng = np.random.default_rng(shape)
    unit = pack([block((0, 0, -1), (2, 2, 2), GREY, shape)])
    origins, directions = rng.uniform(-2, 2, (2, 300, 3))
    enter, leave = crossing(shape, origins.T, directions.T)
    times = np.linspace(-4, 4, 4001)
    marched = inside(unit, 0, origins[:, None] + times[:, None] * directions[:, None])
    hit = marched.sum(1) > 20
    assert 30 < hit.sum() < 290
    assert (enter[hit] < leave[hit]).all()
    spans = np.minimum(leave, 4) - np.maximum(enter, -4)
    np.testing.assert_allclose(spans[hit], marched[hit].mean(1) * 8, atol=0.01)
    assert (np.maximum(spans[marched.sum(1) == 0], 0) < 0.02).all()


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("face", range(6))
def test_faces_and_texture_coordinates_round_trip(shape: Shape, face: int) -> None:
    uv = np.random.default_rng(face).uniform(0.02, 0.98, (200, 2)).astype(np.float32)
    if shape == Shape.CYLINDER and face >= 4:  # the corners of a cap's texture lie outside the disc
        uv = uv[np.linalg.norm(2 * uv - 1, axis=1) < 0.98]
    points, normals = from_cube(shape, face, uv)
    found, back = onto_cube(np.full(len(uv), shape), points)
    assert (found == face).all()
    np.testing.assert_allclose(back, uv, atol=5e-5)
    assert ((points * normals).sum(1) > 0).all()


@pytest.mark.parametrize("seed", [1, 4])
def test_depth_ends_at_the_first_surface(seed: int) -> None:
    matrix, pose = camera_intrinsics("scannet", 24, 18), walk(seed)[20]
    frame = render_frame(room(seed), pose, matrix, 18, 24)
    ends = unproject(frame.depth, pose, matrix)
    solids = room(seed).solids
    shares = np.linspace(0.02, 0.995, 120)[:, None, None]
    before = pose[:3, 3] + shares * (ends - pose[:3, 3])
    assert not any(inside(solids, k, before, slack=0.002).any() for k in range(1, len(solids.shapes)))
    behind = pose[:3, 3] + (1 + 0.004 / frame.depth.reshape(-1, 1)) * (ends - pose[:3, 3])
    landed = ~inside(solids, 0, behind)
    for k in range(1, len(solids.shapes)):
        landed |= inside(solids, k, behind, slack=-0.002)
    assert landed.mean() > 0.98  # the rest grazes an edge


def test_a_picture_does_not_depend_on_its_size() -> None:
    """Every second pixel of a picture is the picture of the camera with half the resolution."""
    matrix, pose = camera_intrinsics("scannet", 80, 64), walk(3)[10]
    coarse = matrix / np.array([[2], [2], [1]])
    large, small = render_frame(room(3), pose, matrix, 64, 80), render_frame(room(3), pose, coarse, 32, 40)
    np.testing.assert_allclose(large.depth[::2, ::2], small.depth, atol=1e-3)
    assert (large.labels[::2, ::2] == small.labels).mean() > 0.995


def test_a_table_casts_a_shadow() -> None:
    board = Item("table", (block((0, 0, 1), (1, 1, 0.05), GREY),))
    solids = pack([block((0, 0, 0), (4, 4, 3), GREY), *board.parts])
    scene = occluders(solids, np.array([-1, 0]), [board])
    floor = np.array([[0.0, 0.4, 0.9, 1.5, -1.9], [0.0, -0.4, 0.9, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    towards = np.array([[0.0], [0.0], [2.9]], np.float32) - floor
    expected = np.abs(floor[:2] * (1 - 1.0 / 2.9)).max(0) < 0.5  # where the segment passes the height of the board
    assert (blocked(scene, floor, towards, np.full(5, -1)) == expected).all()
