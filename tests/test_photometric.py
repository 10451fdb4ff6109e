"""Where along a ray the source views agree with its colour."""

from dataclasses import replace

import pytest
import torch
from rooms_helper import room, walk
from tiny_model import CLASSES, cameras, example, model, one, rays_of

from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.rooms import render_frame
from gpnerf.geometry import camera_rays, inside_image, project
from gpnerf.losses import photometric_loss
from gpnerf.structures import Cameras, SourceViews
from gpnerf.training import LossWeights, Objective
from gpnerf.training.photometric import colour_mismatch

pytestmark = pytest.mark.usefixtures("float64")

HEIGHT, WIDTH = 64, 80


def test_mismatch_by_loops() -> None:
    given = example(views=3)
    rays = rays_of(given, 6)
    z = torch.linspace(0.3, 9.0, 5).expand(6, 5)
    truth = torch.rand(6, 3, generator=torch.Generator().manual_seed(1))
    # Pictures of one colour each, so that it does not matter where a view sees a point.
    colours = torch.rand(3, 3, generator=torch.Generator().manual_seed(2))
    sources = SourceViews(given.sources.cameras, colours[:, :, None, None].expand_as(given.sources.images))
    found = colour_mismatch(rays, z, truth, sources)
    for ray in range(6):
        for sample in range(5):
            point = rays.origins[ray] + z[ray, sample] * rays.directions[ray]
            pixels, in_front = project(point[None], sources.cameras)
            seen = in_front & inside_image(pixels, sources.cameras.height, sources.cameras.width)
            errors = [float((colours[view] - truth[ray]).square().sum()) if seen[view, 0] else 3.0 for view in range(3)]
            assert float(found[ray, sample]) == pytest.approx(sum(sorted(errors)[:2]) / 2, rel=1e-5)


@pytest.mark.slow
def test_the_truth_agrees_best_in_a_room() -> None:
    """With a room's exact depths the mismatch is far smaller than half a metre before or behind them."""
    matrix = camera_intrinsics("scannet", WIDTH, HEIGHT)
    poses = walk(2)[[12, 9, 10, 14, 15]]
    frames = [render_frame(room(2), pose, matrix, HEIGHT, WIDTH) for pose in poses]
    several = Cameras(torch.tensor(matrix).float().expand(5, 3, 3), torch.tensor(poses).float(), HEIGHT, WIDTH)
    images = torch.stack([torch.from_numpy(frame.rgb).permute(2, 0, 1) / 255 for frame in frames])
    pixels = torch.stack([torch.arange(4, 76, 3), torch.arange(4, 76, 3) * 3 // 4], dim=-1)
    rays = camera_rays(one(several, 0), pixels)
    u, v = pixels.unbind(-1)
    depth = torch.from_numpy(frames[0].depth)[v, u]
    z = torch.stack([depth - 0.5, depth, depth + 0.5], dim=1)
    sources = SourceViews(Cameras(several.intrinsics[1:], several.cam_to_world[1:], HEIGHT, WIDTH), images[1:])
    before, right, behind = colour_mismatch(rays, z, images[0][:, v, u].T, sources).mean(dim=0).tolist()
    assert right < 0.5 * min(before, behind)


def test_the_loss_moves_weights_to_where_views_agree() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    mismatch = torch.tensor([[0.5, 0.1, 0.9], [0.0, 2.0, 2.0]], requires_grad=True)
    loss = photometric_loss(logits.softmax(dim=1), mismatch)
    assert float(loss.detach()) == pytest.approx((0.5 + 4 / 3) / 2)
    loss.backward()
    assert mismatch.grad is None
    assert logits.grad.argmin(dim=1).tolist() == [1, 0]


def test_both_passes_are_held_to_it_when_it_has_a_weight() -> None:
    given, network = example(views=3), model()
    rays = rays_of(given)
    output = network(given, rays, semantics=False)
    weights = LossWeights(colour=1.0, semantic=0.0, distillation=0.0, depth=0.0)
    without = Objective(weights, CLASSES, 1, "none", "none").terms(output, given, rays)
    terms = Objective(replace(weights, photometric=0.5), CLASSES, 1, "none", "none").terms(output, given, rays)
    assert set(terms) - set(without) == {"photometric_coarse", "photometric_fine"}
    u, v = rays.pixels.unbind(-1)
    mismatch = colour_mismatch(rays, output.fine.z, given.target.image[:, v, u].T, given.sources)
    expected = 0.5 * (output.fine.weights * mismatch).sum() / len(rays.origins)
    torch.testing.assert_close(terms["photometric_fine"], expected)


def test_what_no_view_sees_is_the_worst() -> None:
    """A ray that no view sees has the worst mismatch everywhere."""
    several = cameras(3, 32, 40)
    away = torch.eye(4)
    away[2, 3] = 100.0
    rays = camera_rays(Cameras(several.intrinsics[0], away, 32, 40), torch.tensor([[3, 4]]))
    sources = SourceViews(several, torch.zeros(3, 3, 32, 40))
    assert colour_mismatch(rays, torch.tensor([[1.0, 2.0]]), torch.zeros(1, 3), sources).tolist() == [[3.0, 3.0]]
