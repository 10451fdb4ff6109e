"""What is wrong with a COLMAP model is one clear line, and no image name leads out of the folder."""

import sys
from pathlib import Path

import numpy as np
import pytest
from own_folder import FRAMES, HEIGHT, POSES, WIDTH, content, message_of, open_own, write_own
from posed_scenes import parameters, write_colmap, write_transforms
from tiny_scenes import INTRINSICS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_own(tmp_path)


def write_model(folder: Path, text: bool = False, **camera: object) -> Path:
    chosen = {
        "model": "PINHOLE",
        "params": parameters("PINHOLE", INTRINSICS),
        "width": WIDTH,
        "height": HEIGHT,
        **camera,
    }
    points = np.random.default_rng(0).uniform(1, 2, (30, 3))
    return write_colmap(folder, POSES, [f"{number}.png" for number in range(FRAMES)], chosen, points, text)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin", "frames.bin", "rigs.bin"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_a_model_that_was_cut_short_is_refused_before_it_is_read(folder: Path, name: str, share: float) -> None:
    model = write_model(folder)
    open_own(folder)
    whole = (model / name).read_bytes()
    (model / name).write_bytes(whole[: int(share * len(whole))])
    message = message_of(folder)
    assert str(model / name) in message and "ends too early" in message


@pytest.mark.parametrize("name", ["cameras.txt", "images.txt", "points3D.txt"])
def test_a_stray_word_in_a_text_model(folder: Path, name: str) -> None:
    model = write_model(folder, text=True)
    open_own(folder)
    lines = (model / name).read_text().splitlines()
    place = next(place for place, line in enumerate(lines) if not line.startswith("#"))
    lines[place] = " ".join(["none", *lines[place].split()[1:]])
    (model / name).write_text("\n".join(lines))
    assert f"{model}: expected a COLMAP model" in message_of(folder)


def test_an_image_name_that_is_no_text(folder: Path) -> None:
    model = write_model(folder)
    (model / "images.bin").write_bytes((model / "images.bin").read_bytes().replace(b"0.png", b"\xea.png"))
    assert f"{model}: expected a COLMAP model" in message_of(folder)


def test_points_that_images_see_must_be_there(folder: Path) -> None:
    model = write_model(folder, text=True)
    lines = (model / "points3D.txt").read_text().splitlines()
    (model / "points3D.txt").write_text("\n".join(lines[:-4]))
    assert f"{model}: expected the points that images see" in message_of(folder)


def test_a_camera_that_cannot_be_undistorted_is_named(folder: Path) -> None:
    write_model(folder, model="OPENCV_FISHEYE", params=[30.0, 30.0, 16.0, 12.0, 0.1, 0.0, 0.0, 0.0])
    message = message_of(folder)
    assert "OPENCV_FISHEYE" in message and "image_undistorter" in message


@pytest.mark.parametrize("name", ["../../other/images/0.png", "{}/other/images/0.png", "missing.png"])
def test_images_of_a_model_lie_in_the_folder(folder: Path, name: str) -> None:
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", INTRINSICS), "width": WIDTH, "height": HEIGHT}
    write_colmap(folder, POSES[:1], [name.format(folder.parent)], camera)
    message = message_of(folder)
    assert name.format(folder.parent) in message and ("leads elsewhere" in message or "found none" in message)


def test_without_pycolmap_one_line_says_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(folder)
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    assert "pip install pycolmap" in message_of(folder)
    write_transforms(folder, content())
    open_own(folder)  # needs none
