"""Free cameras in a scene are rendered from the frames nearest to them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import EVALUATION_SCENES, flags

from gpnerf.assembly.free_views import build_free_views
from gpnerf.config import parse
from gpnerf.data.view_selection import distances_to_pose, nearest_to_pose, pose_distances
from gpnerf.rendering import render_view
from gpnerf.structures import SourceViews

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")


@pytest.mark.parametrize("stride", [1, 2])
def test_a_free_camera_is_rendered_from_its_nearest_frames(finished: Path, stride: int) -> None:
    trained = build_free_views(parse(flags(finished)), EVALUATION_SCENES[1])
    scene, views = trained.scene, trained.views
    camera = scene.camera(4)
    camera.cam_to_world[:3, 3] += torch.tensor([0.02, -0.03, 0.01])
    found = views.render(camera, stride=stride)
    pose = camera.cam_to_world.numpy()
    metres = np.linalg.norm(scene.cam_to_world[:, :3, 3] - pose[:3, 3], axis=1)
    radians = np.arccos(np.clip(scene.cam_to_world[:, :3, 2] @ pose[:3, 2], -1, 1))
    chosen = sorted(range(len(scene)), key=lambda frame: metres[frame] + radians[frame])[: views.source_count]
    assert chosen[0] == 4
    with torch.no_grad():
        maps = views.encodings.model.encode_sources(SourceViews(scene.cameras(chosen), scene.images(chosen)))
    expected = render_view(views.encodings.model, maps, camera, *views.depth_range, stride)
    # Rounding moves the fine samples a little, which depend on the coarse weights.
    assert torch.allclose(found.rgb, expected.rgb, atol=2e-4) and torch.allclose(found.depth, expected.depth, atol=1e-3)
    assert views.render(camera, semantics=False).logits is None


def test_distances_to_a_frames_pose_are_those_to_the_frame(finished: Path) -> None:
    poses = build_free_views(parse(flags(finished)), EVALUATION_SCENES[0]).scene.cam_to_world
    for target in range(len(poses)):
        assert np.array_equal(distances_to_pose(poses, poses[target]), pose_distances(poses, target))
        assert nearest_to_pose(poses, poses[target], 3)[0] == target
    assert len(nearest_to_pose(poses, poses[0], 100)) == len(poses)
