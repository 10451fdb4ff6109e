"""What is wrong with a COLMAP model is one clear line, and no image name leads out of the folder."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_folder import CAMERA, FRAMES, HEIGHT, POSES, WIDTH, message_of, open_own, write_own
from posed_scenes import parameters, write_colmap

from gpnerf.data.scene import Scene
from gpnerf.errors import UserError

PARTS = ("cameras", "images", "points3D")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_own(tmp_path)


def write_model(folder: Path, text: bool = False, **camera: object) -> Path:
    chosen = {
        "model": "PINHOLE",
        "params": parameters("PINHOLE", CAMERA),
        "width": WIDTH,
        "height": HEIGHT,
        **camera,
    }
    points = np.random.default_rng(0).uniform(1, 2, (30, 3))
    return write_colmap(folder, POSES, [f"{number}.png" for number in range(FRAMES)], chosen, points, text)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
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
    assert f"{model / name}: expected {name[:-4]} of a COLMAP model" in message_of(folder)


def test_an_image_name_that_is_no_text(folder: Path) -> None:
    model = write_model(folder)
    (model / "images.bin").write_bytes((model / "images.bin").read_bytes().replace(b"0.png", b"\xea.png"))
    assert all(word in message_of(folder) for word in (str(model / "images.bin"), "not UTF-8"))


def test_points_that_images_see_must_be_there(folder: Path) -> None:
    model = write_model(folder, text=True)
    lines = (model / "points3D.txt").read_text().splitlines()
    (model / "points3D.txt").write_text("\n".join(lines[:-4]))
    assert f"{model / 'points3D.txt'}: expected the points that images see" in message_of(folder)


FOREIGN = {
    "FOV": [30.0, 30.0, 16.0, 12.0, 0.9],
    "THIN_PRISM_FISHEYE": [30.0, 30.0, 16.0, 12.0, *[0.01] * 8],
    "DIVISION": [30.0, 30.0, 16.0, 12.0, 0.1],
    "EQUIRECTANGULAR": [WIDTH, HEIGHT],
}


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("model", FOREIGN)
def test_a_camera_that_cannot_be_undistorted_is_named(folder: Path, model: str, text: bool) -> None:
    write_model(folder, text, model=model, params=FOREIGN[model])
    message = message_of(folder)
    assert f"found {model};" in message and "image_undistorter" in message


@pytest.mark.parametrize("name", ["../../other/images/0.png", "{}/other/images/0.png", "missing.png"])
def test_images_of_a_model_lie_in_the_folder(folder: Path, name: str) -> None:
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", CAMERA), "width": WIDTH, "height": HEIGHT}
    write_colmap(folder, POSES[:1], [name.format(folder.parent)], camera)
    message = message_of(folder)
    assert name.format(folder.parent) in message and ("leads elsewhere" in message or "found none" in message)


NAMES = ["a b/0 (0).png", "a b/1  two blanks.png", "a b/2.png"]


def same_scene(found: Scene, expected: Scene) -> bool:
    """Whether two scenes have the same cameras (the same pictures in the same order follow from the poses)."""
    return np.allclose(found.cam_to_world, expected.cam_to_world, atol=1e-9) and np.allclose(
        found.intrinsics, expected.intrinsics
    )


@pytest.mark.parametrize("change", [str, lambda text: text.replace("\n", "\r\n"), lambda text: "\n # note\n\n" + text])
def test_text_models_as_people_write_them(folder: Path, change: Callable[[str], str]) -> None:
    """Blanks in names, line ends of Windows, comments, no points: what the binary model says, but for near and far."""
    (folder / "images" / "a b").mkdir()
    for number, name in enumerate(NAMES):
        (folder / "images" / f"{number}.png").rename(folder / "images" / name)
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", CAMERA), "width": WIDTH, "height": HEIGHT}
    points = np.random.default_rng(0).uniform(1, 2, (30, 3))
    binary = write_colmap(folder, POSES, NAMES, camera, points)
    expected = open_own(folder)
    shutil.rmtree(binary)
    model = write_colmap(folder, POSES, NAMES, camera, points, text=True)
    for name in ("cameras.txt", "images.txt"):
        (model / name).write_text(change((model / name).read_text()), newline="")
    found = open_own(folder)
    assert same_scene(found, expected) and found.depth_range == pytest.approx(expected.depth_range)
    assert [found.path("colour", place) for place in range(3)] == [folder / "images" / name for name in NAMES]
    (model / "points3D.txt").unlink()
    found = open_own(folder)
    assert same_scene(found, expected) and found.depth_range is None


def test_a_binary_model_needs_no_points_either(folder: Path) -> None:
    model = write_model(folder)
    expected = open_own(folder)
    (model / "points3D.bin").unlink()
    assert same_scene(open_own(folder), expected) and open_own(folder).depth_range is None


@pytest.mark.parametrize("newer", ["text", "binary"])
def test_of_text_and_binary_in_one_folder_the_newer_is_read(
    folder: Path, newer: str, caplog: pytest.LogCaptureFixture
) -> None:
    camera = {"model": "PINHOLE", "params": parameters("PINHOLE", CAMERA), "width": WIDTH, "height": HEIGHT}
    names, shifted = [f"{number}.png" for number in range(FRAMES)], POSES.copy()
    shifted[:, :3, 3] += 1
    model = write_colmap(folder, shifted, names, camera, text=newer == "text")
    write_colmap(folder, POSES, names, camera, text=newer == "binary")
    for path in model.iterdir():
        hours = 2 if (path.suffix == ".txt") == (newer == "text") else 1
        os.utime(path, (3600 * hours, 3600 * hours))
    assert np.allclose(open_own(folder).cam_to_world, shifted)
    assert f"the newer is read ({newer})" in caplog.text and "2 COLMAP models" not in caplog.text


def test_a_folder_without_the_files_of_a_model_is_not_denied(folder: Path) -> None:
    model = write_model(folder)
    for path in model.glob("images.*"):
        path.unlink()
    message = message_of(folder)
    assert "sparse/ without images.bin" in message and "neither" not in message
    write_model(folder)
    (model / "cameras.bin").unlink()
    assert "cameras.bin: expected cameras of a COLMAP model, found no such file" in message_of(folder)


def test_an_image_needs_its_camera(folder: Path) -> None:
    model = write_model(folder, text=True)
    lines = (model / "cameras.txt").read_text().splitlines()
    (model / "cameras.txt").write_text("\n".join(line.replace("1 PINHOLE", "7 PINHOLE") for line in lines))
    assert "expected a camera 1, found none of that number" in message_of(folder)


@pytest.mark.parametrize("text", [True, False])
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_model_is_read_or_refused(folder: Path, text: bool, data: st.DataObject) -> None:
    model = write_model(folder, text)
    path = data.draw(st.sampled_from([path for path in sorted(model.iterdir()) if path.stem in PARTS]))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content)))
        behind = place + data.draw(st.integers(0, 9))
        content[place:behind] = data.draw(
            st.binary(max_size=9) | st.sampled_from([b"nan", b"1e999", b"\n", b"-", b"#"])
        )
    path.write_bytes(content)
    with suppress(UserError):
        scene = open_own(folder)
        assert np.isfinite(scene.intrinsics).all() and np.isfinite(scene.cam_to_world).all()
