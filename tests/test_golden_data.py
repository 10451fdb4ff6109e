"""The data layer against the released program's numbers (golden file 08), in the `release` forms."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from golden_files import Golden, assert_close

from gpnerf.data.images import blur_and_resize
from gpnerf.data.labels import replica_labels, scannet_labels
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.replica import replica_scene
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.data.view_selection import nearest, released_distances
from gpnerf.structures import Cameras

CONFIGS = Path(__file__).parent.parent / "configs"
BLACK = np.zeros((6, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("08_dataset_helpers")


def release_protocol(golden: Golden, dataset: str) -> Protocol:
    height, width, _ = golden.meta[f"{dataset}_item0_shapes"]["rgb"]
    views = golden.numpy(f"{dataset}/out/source_frames").shape[1]
    protocol = load_protocol("release", dataset, CONFIGS)
    return replace(protocol, height=height, width=width, num_source_views=views)


def write_table(path: Path, rows: dict[int, int]) -> Path:
    path.write_text("id\tnyu40id\n" + "".join(f"{raw}\t{nyu40}\n" for raw, nyu40 in rows.items()))
    return path


@pytest.fixture(scope="module")
def scannet(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A folder like the one that the numbers were taken from; only the first target has real depth and labels."""
    folder = tmp_path_factory.mktemp("scannet")
    for part in ("color", "pose", "intrinsic", "depth", "label-filt"):
        (folder / part).mkdir()
    poses = golden.numpy("in/poses_f64").copy()
    poses[golden.meta["bad_pose_frames"]] = np.inf
    for number, pose in enumerate(poses):
        iio.imwrite(folder / "color" / f"{number}.png", BLACK)
        np.savetxt(folder / "pose" / f"{number}.txt", pose)
    np.savetxt(folder / "intrinsic" / "intrinsic_color.txt", golden.numpy("scannet/in/intrinsic_f64"))
    first = int(golden.numpy("scannet/out/target_frames")[0])
    labels = golden.numpy("scannet/in/item0_label_png").astype(np.uint16)
    iio.imwrite(folder / "label-filt" / f"{first}.png", labels)
    iio.imwrite(folder / "depth" / f"{first}.png", golden.numpy("scannet/in/item0_depth_png"))
    ids, nyu40 = (golden.numpy(f"scannet/in/{key}").tolist() for key in ("tsv_id", "tsv_nyu40id"))
    protocol = release_protocol(golden, "scannet")
    return scannet_scene(
        folder,
        name="scene",
        height=protocol.height,
        width=protocol.width,
        label_map=scannet_labels(write_table(folder / "table.tsv", dict(zip(ids, nyu40, strict=True)))),
        cache=FrameCache(0),
        frame_order=protocol.frame_order,
        compat="release",
    )


@pytest.fixture(scope="module")
def replica(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("replica")
    (folder / "rgb").mkdir()
    poses = golden.numpy("in/poses_f64")
    for number in range(len(poses)):
        iio.imwrite(folder / "rgb" / f"rgb_{number}.png", BLACK)
    np.savetxt(folder / "traj_w_c.txt", poses.reshape(-1, 16))
    height, width, _ = golden.meta["replica_item0_shapes"]["rgb"]
    return replica_scene(
        folder,
        name="scene",
        height=height,
        width=width,
        label_map=replica_labels(),
        cache=FrameCache(0),
        compat="release",
    )


def vectors(cameras: Cameras) -> torch.Tensor:
    """The released program's 34 numbers a camera: height, width, 4x4 intrinsics, 4x4 pose."""
    count = len(cameras.cam_to_world)
    intrinsics = torch.eye(4).repeat(count, 1, 1)
    intrinsics[:, :3, :3] = cameras.intrinsics
    size = torch.tensor([cameras.height, cameras.width]).float().expand(count, 2)
    return torch.cat([size, intrinsics.flatten(1), cameras.cam_to_world.flatten(1)], dim=1)


def test_scannet_frames_are_ordered_and_chosen_as_released(golden: Golden, scannet: Scene) -> None:
    protocol = release_protocol(golden, "scannet")
    assert scannet.numbers.tolist() == golden.numpy("scannet/out/frame_order").tolist()
    assert protocol.evaluation_indices(scannet) == golden.numpy("scannet/out/val_que_idxs").tolist()
    assert protocol.finetuning_indices(scannet) == golden.numpy("scannet/out/train_que_idxs").tolist()
    assert protocol.depth_ranges.evaluation == pytest.approx(golden.numpy("scannet/out/depth_range").tolist())


@pytest.mark.parametrize("dataset", ["scannet", "replica"])
def test_source_views_are_the_released_ones(golden: Golden, dataset: str, request: pytest.FixtureRequest) -> None:
    scene: Scene = request.getfixturevalue(dataset)
    protocol = release_protocol(golden, dataset)
    targets = protocol.evaluation_indices(scene)
    assert scene.numbers[targets].tolist() == golden.numpy(f"{dataset}/out/target_frames").tolist()
    sources = [scene.numbers[protocol.evaluation_sources(scene, place)].tolist() for place in range(len(targets))]
    assert sources == golden.numpy(f"{dataset}/out/source_frames").tolist()


def test_cameras_are_the_released_ones(golden: Golden, scannet: Scene, replica: Scene) -> None:
    protocol = release_protocol(golden, "scannet")
    targets = protocol.evaluation_indices(scannet)
    assert_close(vectors(scannet.cameras(targets)), golden["scannet/out/cameras"], 1e-6)
    sources = protocol.evaluation_sources(scannet, 0)
    assert_close(vectors(scannet.cameras(sources)), golden["scannet/out/item0_src_cameras"], 1e-6)
    first = release_protocol(golden, "replica").evaluation_indices(replica)[:1]
    assert_close(vectors(replica.cameras(first))[0], golden["replica/out/item0_camera"], 1e-6)


def test_depth_and_labels_are_the_released_ones(golden: Golden, scannet: Scene) -> None:
    first = release_protocol(golden, "scannet").evaluation_indices(scannet)[0]
    labels, depth = scannet.labels(first), scannet.depth(first)
    assert labels is not None and depth is not None
    assert torch.equal(labels[::4, ::4].short(), golden["scannet/out/item0_labels_every4"])
    assert_close(depth[::8, ::8], golden["scannet/out/item0_depth_every8"], 1e-6)


def test_class_maps_are_the_released_ones(golden: Golden, tmp_path: Path) -> None:
    nyu40 = golden.numpy("labels/in_scannet")
    same = scannet_labels(write_table(tmp_path / "table.tsv", {int(i): int(i) for i in nyu40}))
    assert same.to_train(nyu40[None])[0].tolist() == golden.numpy("labels/scannet_nyu40_to_20").tolist()
    raw = golden.numpy("labels/in_replica")
    assert replica_labels().to_train(raw[None])[0].tolist() == golden.numpy("labels/replica_to_51").tolist()


def test_nearest_poses_are_the_released_ones(golden: Golden) -> None:
    poses = golden.numpy("in/poses_f64")
    for target, expected in zip(golden.numpy("nearest/in/targets"), golden.numpy("nearest/out/vector"), strict=True):
        others = np.arange(len(poses)) != target
        assert nearest(released_distances(poses, int(target)), others, len(expected)).tolist() == expected.tolist()


def test_blur_and_resize_is_the_released_one(golden: Golden) -> None:
    expected = golden["blur/out/scannet_resized"]
    ratio = golden.meta["blur"]["ratio"]
    image = golden.hashed(golden.meta["blur"]["input"]).numpy()
    resized = blur_and_resize(image, expected.shape[0], expected.shape[1], (ratio, ratio))
    assert_close(torch.from_numpy(resized), expected, 1e-5)
