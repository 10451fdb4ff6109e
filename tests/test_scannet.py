"""The ScanNet reader, on scenes written here."""

import logging
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_scenes import (
    INTRINSICS,
    RELEASED,
    SCANNET_TABLE,
    circle_pose,
    write_intrinsics,
    write_label_table,
    write_scannet,
)

from gpnerf.data.labels import scannet_labels
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError


def open_scene(folder: Path, height: int = 48, width: int = 64, **options: str) -> Scene:
    label_map = scannet_labels(write_label_table(folder.parent))
    cache = FrameCache(10**7)
    return scannet_scene(folder, name="scene", height=height, width=width, label_map=label_map, cache=cache, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scannet(tmp_path_factory.mktemp("scannet") / "scene0000_00", frames=12)


def test_a_frame_is_read_as_it_is_on_disk(folder: Path) -> None:
    scene = open_scene(folder)
    number = int(scene.numbers[3])
    colour = torch.from_numpy(iio.imread(folder / "color" / f"{number}.jpg")).permute(2, 0, 1)
    assert torch.equal((scene.image(3) * 255).round().byte(), colour)
    depth, labels, instances = scene.depth(3), scene.labels(3), scene.instances(3)
    assert depth is not None and labels is not None and instances is not None
    millimetres = iio.imread(folder / "depth" / f"{number}.png").astype(np.float64)
    assert np.allclose(depth.numpy(), millimetres.repeat(2, axis=0).repeat(2, axis=1) / 1000, atol=1e-6)
    raw = iio.imread(folder / "label-filt" / f"{number}.png")
    by_hand = {0: 20, 1: 0, 2: 4, 7: 6, 11: 20, 38: 2, 1191: 19}
    assert labels.numpy().tolist() == np.vectorize(by_hand.get)(raw).tolist()
    assert np.array_equal(instances.numpy(), iio.imread(folder / "instance-filt" / f"{number}.png"))
    assert np.allclose(scene.camera(3).cam_to_world.numpy(), circle_pose(number, 12), atol=1e-6)


def test_frame_order(folder: Path) -> None:
    assert open_scene(folder).numbers.tolist() == list(range(12))
    lexicographic = open_scene(folder, frame_order="lexicographic")
    assert lexicographic.numbers.tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    assert torch.equal(lexicographic.image(2), open_scene(folder).image(10))
    assert torch.equal(lexicographic.camera(2).cam_to_world, open_scene(folder).camera(10).cam_to_world)


def test_sparse_frame_numbers_and_stray_files(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "scene", frames=6)
    for number in (1, 2, 4):
        (folder / "color" / f"{number}.jpg").unlink()
    (folder / "color" / "._3.jpg").write_bytes(b"not an image")
    (folder / "color" / "notes.txt").write_text("stray")
    assert open_scene(folder).numbers.tolist() == [0, 3, 5]


@pytest.mark.parametrize(("height", "width"), [(48, 64), (24, 32), (21, 40), (96, 128)])
def test_a_point_stays_at_its_projection_when_images_are_resized(tmp_path: Path, height: int, width: int) -> None:
    """The centroid of a blob, drawn where a world point projects at full size, is its projection at the new size."""
    folder = write_scannet(tmp_path / "scene", frames=1, labels=False, depth=False)
    point = np.linalg.inv(circle_pose(0, 1))[:3] @ [0.1, 0.25, 1.0, 1.0]
    u, v = (INTRINSICS @ point)[:2] / point[2]
    rows, columns = np.mgrid[:48, :64]
    blob = 255 * np.exp(-((rows - v) ** 2 + (columns - u) ** 2) / (2 * 4.0**2))
    (folder / "color" / "0.jpg").unlink()
    iio.imwrite(folder / "color" / "0.png", np.repeat(blob[..., None], 3, axis=2).round().astype(np.uint8))
    scene = open_scene(folder, height, width)
    camera, image = scene.camera(0), scene.image(0)[0].numpy()
    seen = camera.intrinsics.numpy() @ (np.linalg.inv(camera.cam_to_world.numpy())[:3] @ [0.1, 0.25, 1.0, 1.0])
    rows, columns = np.mgrid[:height, :width]
    centroid = np.array([(image * columns).sum(), (image * rows).sum()]) / image.sum()
    assert np.abs(centroid - seen[:2] / seen[2]).max() < 0.03


def test_release_form_takes_one_factor_for_both_axes(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "scene", frames=1)
    with pytest.raises(UserError, match=r"intrinsic_color.txt: expected .* of a 1296x968 picture, .*take another one"):
        open_scene(folder, height=24, width=32, compat="release")
    write_intrinsics(folder, RELEASED)
    camera = open_scene(folder, height=24, width=32, compat="release").camera(0)
    expected = torch.tensor(RELEASED).float() * torch.tensor([[32 / 1296], [32 / 1296], [1.0]])
    assert torch.allclose(camera.intrinsics, expected)


def test_frames_without_a_place_are_dropped_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_scannet(tmp_path / "scene", frames=9)
    for number, word in ((2, "-inf"), (5, "nan"), (8, "0")):
        (folder / "pose" / f"{number}.txt").write_text("\n".join([" ".join([word] * 4)] * 4))
    with caplog.at_level(logging.WARNING):
        scene = open_scene(folder)
    assert scene.numbers.tolist() == [0, 1, 3, 4, 6, 7]
    assert np.isfinite(scene.cam_to_world).all()
    assert [record.getMessage() for record in caplog.records] == [
        "scene: dropped 3 of 9 frames, whose poses hold inf, NaN or zeros: "
        f"{folder / 'pose' / '2.txt'}, {folder / 'pose' / '5.txt'}, {folder / 'pose' / '8.txt'}"
    ]


def test_a_scene_may_lack_labels_and_depth(tmp_path: Path) -> None:
    scene = open_scene(write_scannet(tmp_path / "scene", frames=2, labels=False, depth=False))
    assert not scene.has_labels
    assert scene.depth(0) is None and scene.labels(0) is None and scene.instances(0) is None
    assert open_scene(write_scannet(tmp_path / "labelled", frames=2)).has_labels


def test_frames_that_lack_a_file_go_without_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_scannet(tmp_path / "scene", frames=12)
    gone = [folder / "depth" / "3.png", *(folder / "label-filt" / f"{n}.png" for n in (2, 5, 10, 11))]
    gone.append(folder / "instance-filt" / "0.png")
    for path in gone:
        path.unlink()
    with caplog.at_level(logging.WARNING):
        scene = open_scene(folder, frame_order="lexicographic")
    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith("scene: 6 depth, label or instance files are missing (of 12 frames)")
    assert all(str(path) in message for path in gone[:5]) and str(gone[5]) not in message
    assert scene.has_labels
    places = range(len(scene))
    assert {int(scene.numbers[i]) for i in places if scene.depth(i) is None} == {3}
    assert {int(scene.numbers[i]) for i in places if scene.labels(i) is None} == {2, 5, 10, 11}
    assert {int(scene.numbers[i]) for i in places if scene.instances(i) is None} == {0}


def test_a_complete_scene_opens_without_a_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        open_scene(folder)
    assert caplog.records == []


def test_every_table_id_occurs_in_the_fixture(folder: Path) -> None:
    """Guards the test above: a raw id that never occurs would not be checked."""
    assert set(np.unique(iio.imread(folder / "label-filt" / "3.png"))) == {0, *SCANNET_TABLE}


def test_cached_frames_equal_decoded_ones(folder: Path) -> None:
    scene = open_scene(folder, 24, 32)
    small = scannet_scene(
        folder, name="scene", height=24, width=32, label_map=None, cache=FrameCache(2 * scene.image(0).nbytes)
    )
    for index in (0, 1, 0, 2, 1, 3, 0):
        assert torch.equal(small.image(index), scene.image(index))


@given(st.lists(st.integers(0, 5), max_size=40))
def test_cache_keeps_the_most_recently_used_arrays_that_fit(keys: list[int]) -> None:
    """Against a plain list, most recent last; array k has k + 1 bytes, 9 bytes fit."""
    cache, made, expected, held = FrameCache(9), [], [], []
    for key in keys:
        cache.get(key, lambda key=key: made.append(key) or np.zeros(key + 1, np.uint8))
        if key not in held:
            expected.append(key)
        held = [other for other in held if other != key] + [key]
        while sum(other + 1 for other in held) > 9:
            held = held[1:]
    assert made == expected


def test_changing_a_returned_image_does_not_change_the_cached_one(folder: Path) -> None:
    scene = open_scene(folder)
    before = scene.image(0).clone()
    scene.image(0).zero_()
    assert torch.equal(scene.image(0), before)
