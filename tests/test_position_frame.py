"""With positions in the target camera's frame no output depends on where the scene lies, its turn, or its unit."""

from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation
from tiny_model import example, model, rays_of
from torch import Tensor

from gpnerf.geometry import camera_rays, project, seen_from
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.structures import Cameras, Example, RayOutput, Wanted


def motion(shift: float) -> Tensor:
    """A rotation about no axis of the scene and a shift of so many metres."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix())
    pose[:3, 3] = shift * torch.tensor([0.6, -0.48, 0.64], dtype=torch.float64)
    return pose


def moved(given: Example, pose: Tensor, unit: float = 1.0) -> Example:
    """The same photos of the scene moved as a whole, its lengths in `unit` metres."""

    def elsewhere(cameras: Cameras) -> Cameras:
        poses = pose @ cameras.cam_to_world.double()
        poses[..., :3, 3] /= unit
        return replace(cameras, cam_to_world=poses)

    target = replace(given.target, camera=elsewhere(given.target.camera))
    sources = replace(given.sources, cameras=elsewhere(given.sources.cameras))
    return replace(given, target=target, sources=sources, near=given.near / unit, far=given.far / unit)


def rendered(network: GPNeRF, given: Example) -> RayOutput:
    with torch.no_grad():
        maps = network.encode_sources(given.sources)
        wanted = Wanted(True, field=True)
        _, fine = network.renderer(rays_of(given), maps, given.near, given.far, wanted)
    assert fine is not None
    return fine


@pytest.mark.parametrize("colour_head", ["regress", "blend"])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(("shift", "unit"), [(0.0, 1.0), (10.0, 1.0), (5e6, 1.0), (3.0, 0.01), (3.0, 1000.0)])
def test_a_moved_scene_in_another_unit_renders_the_same(
    shift: float, unit: float, plain: bool, colour_head: str
) -> None:
    network = model(position_frame="camera", plain=plain, colour_head=colour_head)
    expected, found = rendered(network, example()), rendered(network, moved(example(), motion(shift), unit))
    # Far from the origin float64 itself rounds positions to a nanometre.
    for name in ("rgb", "weights", "features", "field"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.depth * unit, expected.depth, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.z * unit, expected.z, rtol=1e-4, atol=1e-4)


def test_positions_in_the_world_are_seen_by_the_paper_s_form() -> None:
    network = model()
    expected, found = rendered(network, example()), rendered(network, moved(example(), motion(10.0)))
    assert float((found.rgb - expected.rgb).abs().max()) > 1e-3


def test_what_a_target_sees_is_projected_as_ever() -> None:
    """From world points by float64, and from points in the target's axes, the same pixels."""
    given = example()
    camera, cameras = given.target.camera, given.sources.cameras
    unit = 2.5
    target, sources = seen_from(camera, cameras, unit)
    rays, own = rays_of(given), camera_rays(target, rays_of(given).pixels)
    for depth in (0.7, 3.0):
        pixels, front = project(rays.origins + depth * rays.directions, cameras)
        seen, seen_front = project(own.origins + depth / unit * own.directions, sources)
        torch.testing.assert_close(seen, pixels, rtol=1e-4, atol=1e-3)
        assert torch.equal(front, seen_front)
