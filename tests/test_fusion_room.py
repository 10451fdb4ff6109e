"""A procedural room, fused from its true depth, lies where its solids are and knows what they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from room_surfaces import nearest_surface
from rooms_helper import HEIGHT, WIDTH, room, walk

from gpnerf.data.instances import InstanceMap
from gpnerf.data.labels import scannet_labels
from gpnerf.data.procedural.categories import label_table
from gpnerf.data.procedural.disk import camera_intrinsics
from gpnerf.data.rooms import render_frame
from gpnerf.fusion.observation import Observation
from gpnerf.fusion.reconstruction import FusionSettings, reconstruct
from gpnerf.structures import Cameras

pytest.importorskip("skimage", reason="scikit-image is not installed")

SEED = 0


def one_hot(ids: np.ndarray, count: int) -> torch.Tensor:
    return torch.from_numpy((np.arange(count)[:, None, None] == ids).astype(np.float32))


@pytest.mark.slow
def test_a_room_with_true_depth_is_where_it_is_and_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text(label_table())
    labels = scannet_labels(tmp_path / "table.tsv")
    truth, intrinsics = room(SEED), camera_intrinsics("scannet", WIDTH, HEIGHT)
    instances = InstanceMap(tuple(np.unique(truth.instances[truth.instances > 0]).tolist()), none=0)
    views = []
    for pose in walk(SEED)[::2]:
        frame = render_frame(truth, pose, intrinsics, HEIGHT, WIDTH)
        camera = Cameras(torch.from_numpy(intrinsics).float(), torch.from_numpy(pose).float(), HEIGHT, WIDTH)
        image = torch.from_numpy(frame.rgb).permute(2, 0, 1) / 255
        channels = instances.to_channels(torch.from_numpy(frame.instances).long()).numpy()
        votes = one_hot(labels.to_train(frame.labels), labels.ignore), one_hot(channels, len(instances.ids))
        views.append(Observation(camera, image, torch.from_numpy(frame.depth), *votes))
    surface, looks = reconstruct(views, FusionSettings(voxel=0.03, truncation=3.0, smallest_piece=1, memory_budget=1.0))
    distance, raw, instance = nearest_surface(truth, surface.vertices)
    assert len(distance) > 20_000
    assert (distance < 0.02).mean() > 0.95
    assert looks.classes is not None and looks.instances is not None
    classes = labels.to_train(raw[None])[0]
    real = classes < labels.ignore
    assert (looks.classes.numpy() == classes)[real].mean() > 0.95
    ids = np.array([*instances.ids, 0])[looks.instances.numpy()]
    assert (ids == instance).mean() > 0.95
