"""The parts of a video: paths from files, frames on disk, what is written of labels, and the film."""

import importlib.util
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_scenes import circle_pose

from gpnerf.data.instances import InstanceMap
from gpnerf.errors import UserError
from gpnerf.evaluation.instances import ChannelObjects
from gpnerf.structures import ImageOutput
from gpnerf.video.film import Film, require_encoder
from gpnerf.video.frames import FrameFolder
from gpnerf.video.labellings import Classes, Instances, Panoptic
from gpnerf.video.paths import read_poses
from gpnerf.visualize.colouring import class_palette, depth_picture
from gpnerf.visualize.png import save_depth, save_picture

POSES = np.stack([circle_pose(k, 7) for k in range(4)])
HEIGHT, WIDTH = 31, 40
CLASSES = Classes(("wall", "floor", "chair"), "none")


def output(number: int) -> ImageOutput:
    """A view at one depth; its left half is of class 0 and of the first channel of instances, the rest of the third."""
    logits = torch.zeros(4, HEIGHT, WIDTH)
    logits[0, :, : WIDTH // 2] = logits[2, :, WIDTH // 2 :] = 5
    grey, depth = torch.full((3, HEIGHT, WIDTH), 0.5), torch.full((HEIGHT, WIDTH), 1.0 + number)
    return ImageOutput(grey, depth, None, logits, logits.clone())


@pytest.fixture
def folder(tmp_path: Path) -> FrameFolder:
    """Four finished frames, at depths of 1, 2, 3 and 4 m."""
    frames = FrameFolder(tmp_path / "frames", ("rgb", "depth", "semantic"), 4)
    frames.claim({"scene": "a"}, "data", POSES)
    for k in range(4):
        view = output(k)
        save_picture(frames.file("rgb", k), np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
        save_depth(frames.file("depth", k), view.depth)
        CLASSES.save(frames.file("semantic", k), view)
    return frames


def test_a_frame_is_missing_until_all_its_parts_are_there(folder: FrameFolder) -> None:
    assert folder.missing() == []
    folder.file("depth", 2).unlink()
    folder.file("rgb", 0).rename(folder.file("rgb", 0).with_suffix(".png.tmp"))
    assert folder.missing() == [0, 2]


def test_frames_of_something_else_are_not_mixed_in(folder: FrameFolder) -> None:
    folder.claim({"scene": "a"}, "data", POSES)
    with pytest.raises(UserError, match=r"frames.json.* scene = a, found b now; .*--out"):
        folder.claim({"scene": "b"}, "data", POSES)
    nudged = POSES.copy()
    nudged[3, 0, 3] = np.nextafter(nudged[3, 0, 3], 9)
    with pytest.raises(UserError, match="poses_sha256"):
        folder.claim({"scene": "a"}, "data", nudged)
    (folder.path / "frames.json").write_text('{"scene": ')
    with pytest.raises(UserError, match=r"found a mistake .* another --out"):
        folder.claim({"scene": "a"}, "data", POSES)


def test_the_path_of_a_video_can_be_followed_again(folder: FrameFolder) -> None:
    assert np.array_equal(read_poses(folder.path / "poses.txt"), POSES)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "an empty file"),
        ("1 2 3", "line 1: expected 16 numbers, found 3"),
        ("a " * 16, "line 1: expected 16 numbers, found text"),
        (" ".join(map(str, POSES[1].T.ravel())), "line 1: .*transposed"),
        ("\n" + " ".join(map(str, (POSES[0] @ np.diag([-1, 1, 1, 1])).ravel())), "line 2: .*mirrored"),
        (" ".join(map(str, (POSES[0] @ np.diag([2, 2, 2, 1])).ravel())), "axes of length 2 2 2 .*scaled"),
        (" ".join(map(str, (POSES[0] * 2).ravel())), "last row 0 0 0 2"),
        (" ".join(["nan"] * 12 + ["0", "0", "0", "1"]), "NaN"),
    ],
)
def test_lines_that_are_no_pose_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "path.txt").write_text(text)
    with pytest.raises(UserError, match=rf"path.txt.*{fault}"):
        read_poses(tmp_path / "path.txt")
    with pytest.raises(UserError, match=r"absent.txt: .*no such file"):
        read_poses(tmp_path / "absent.txt")


INSTANCES = {
    "few ids": Instances(InstanceMap((3, 7, 200), 0), ChannelObjects(torch.tensor([2, 0, 1]), True)),
    "many ids": Instances(InstanceMap((3, 700, 60000), None), ChannelObjects(torch.tensor([2, 0, 1]), False)),
}


def test_classes_come_back_from_their_files(tmp_path: Path) -> None:
    CLASSES.save(tmp_path / "ids.png", output(0))
    ids = CLASSES.read(tmp_path / "ids.png")
    assert torch.equal(ids, CLASSES.predict(output(0)))
    assert (ids[:, : WIDTH // 2] == 0).all() and (ids[:, WIDTH // 2 :] == 2).all()


@pytest.mark.parametrize("instances", INSTANCES.values(), ids=INSTANCES)
def test_files_hold_the_data_sets_instance_ids(instances: Instances, tmp_path: Path) -> None:
    instances.save(tmp_path / "ids.png", output(0))
    raw, ids = iio.imread(tmp_path / "ids.png"), instances.read(tmp_path / "ids.png")
    # Channel 0 stands for the map's third instance, channel 2 for its second; the last, if it is none's, for none.
    for part, place in ((np.s_[:, : WIDTH // 2], 2), (np.s_[:, WIDTH // 2 :], 1)):
        assert torch.equal(ids, instances.predict(output(0)))
        assert (raw[part] == instances.instance_map.ids[place]).all() and (ids[part] == place).all()


def test_no_instance_has_no_name(tmp_path: Path) -> None:
    instances, view = INSTANCES["few ids"], output(0)
    assert view.instance_logits is not None
    view.instance_logits[3, :5] = 9
    instances.save(tmp_path / "ids.png", view)
    assert (iio.imread(tmp_path / "ids.png")[:5] == 0).all()
    assert not set(range(len(instances.names))) & set(instances.read(tmp_path / "ids.png")[:5].unique().tolist())


def test_panoptic_has_stuff_by_class_and_things_by_instance(tmp_path: Path) -> None:
    panoptic = Panoptic(CLASSES, INSTANCES["few ids"], stuff=(0, 1))
    assert panoptic.names == ("wall", "floor", "instance 3", "instance 7", "instance 200")
    panoptic.save(tmp_path / "ids.png", output(0))
    ids = panoptic.read(tmp_path / "ids.png")
    assert torch.equal(ids, panoptic.predict(output(0)))
    # The left half is wall, which has no instance; the right one is chair, and of channel 2, the map's second.
    assert (ids[:, : WIDTH // 2] == 0).all() and (ids[:, WIDTH // 2 :] == 2 + 1).all()


def film(path: Path) -> np.ndarray:
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg, which reads and writes mp4, is not installed")
    return iio.imread(path, plugin="FFMPEG")


def test_colours_mean_the_same_in_every_frame(folder: FrameFolder) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg, which writes mp4, is not installed")
    written = Film(10, separate=True, strip=0).write(folder, [CLASSES])
    assert [path.name for path in written] == ["colour.mp4", "depth.mp4", "semantics.mp4"]
    depth, labels = film(folder.path / "depth.mp4"), film(folder.path / "semantics.mp4")
    assert depth.shape == (4, HEIGHT + 1, WIDTH, 3)  # mp4 wants even sides
    for k in range(4):
        (expected,) = depth_picture(torch.tensor([[1.0 + k]]), 1.0, 4.0)[0].astype(int)
        assert np.abs(depth[k].mean(axis=(0, 1)) - expected).max() < 12  # coarse colours of mp4
        wall, chair = labels[k][:, : WIDTH // 2 - 2], labels[k][:, WIDTH // 2 + 2 :]
        for part, entry in ((wall, 0), (chair, 2)):
            assert np.abs(part.mean(axis=(0, 1)) - class_palette(3)[entry].astype(int)).max() < 12


def test_side_by_side_film_and_strip(folder: FrameFolder) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg, which writes mp4, is not installed")
    written = Film(10, separate=False, strip=2).write(folder, [CLASSES])
    assert [path.name for path in written] == ["strip.png", "video.mp4"]
    pictures = film(written[1])
    assert len(pictures) == 4 and pictures.shape[2] > 3 * 320
    assert iio.immeta(written[1], plugin="FFMPEG")["fps"] == 10
    assert not list(folder.path.glob(".*"))


def test_without_the_encoder_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imageio_ffmpeg" else find(name))
    with pytest.raises(UserError, match=r"pip install imageio-ffmpeg$"):
        require_encoder()


def test_a_film_that_cannot_be_written_is_a_clear_error(folder: FrameFolder) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg, which writes mp4, is not installed")
    (folder.path / "video.mp4").mkdir()
    (folder.path / "video.mp4/file").touch()
    with pytest.raises(UserError, match=r"video.mp4: cannot be written"):
        Film(10, separate=False, strip=0).write(folder, [CLASSES])
    shutil.rmtree(folder.path / "video.mp4")
