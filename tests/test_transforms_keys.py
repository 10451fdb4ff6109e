"""Every key of other programs' transforms.json is obeyed, refused by its name, or known to change nothing."""

from math import atan, degrees
from pathlib import Path

import numpy as np
import pytest
from own_folder import CAMERA, HEIGHT, WIDTH, content, message_of, open_own, write_own
from posed_scenes import Transforms, write_transforms

from gpnerf.data.scene import Scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: each writes its own transforms.json."""
    return write_own(tmp_path_factory.mktemp("keys"))


def opened(folder: Path, transforms: Transforms) -> Scene:
    write_transforms(folder, transforms)
    return open_own(folder)


def refused(folder: Path, transforms: Transforms) -> str:
    write_transforms(folder, transforms)
    return message_of(folder)


FX, FY, CX, CY = CAMERA[0, 0], CAMERA[1, 1], CAMERA[0, 2], CAMERA[1, 2]
REFUSED = {
    **dict.fromkeys(["latlong", "equirectangular", "from_na", "black_transparent", "orthographic"], True),
    **dict.fromkeys(
        ["k4", "k5", "k6", "s1", "s2", "s3", "s4", "ftheta_p0", "ftheta_p2", "skew", "sharpness_discard_threshold"],
        0.02,
    ),
    "rolling_shutter": [0.0, 0.0, 0.01],
    "rolling_shutter_time": 0.01,
    "mask_path": "masks/0.png",
    "fisheye_crop_radius": 12,
    "intrinsic_matrix": CAMERA.tolist(),
    "normal_mts_args": {"a": 1},
}


@pytest.mark.parametrize("place", ["top", "frame"])
@pytest.mark.parametrize("key", REFUSED)
def test_keys_that_would_change_the_picture_are_refused_by_name(folder: Path, key: str, place: str) -> None:
    transforms = content()
    (transforms if place == "top" else transforms["frames"][1])[key] = REFUSED[key]
    message = refused(folder, transforms)
    assert f"found '{key}'" in message and ("frame 1" in message or place == "top")


def test_keys_that_say_nothing_change_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for value in (None, False, 0.0, [], [0, 0.0, None]):
        coefficients = dict.fromkeys(("k4", "k5", "k6"), 0.0)
        opened(folder, content() | dict.fromkeys(REFUSED, value) | coefficients)
    assert not caplog.records


HARMLESS: Transforms = {
    "aabb_scale": 16,
    "aabb": [[-1, -1, -1], [1, 1, 1]],
    "scale": 0.33,
    "offset": [0.5, 0.5, 0.5],
    "applied_transform": np.eye(4)[:3].tolist(),
    "orientation_override": "none",
    "ply_file_path": "sparse_pc.ply",
    "white_transparent": True,
    "up": [0, 0, 1],
    "envmap": [[]] * 3,
}


def test_keys_without_effect_pass_silently_and_unknown_ones_in_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = opened(folder, content())
    transforms = content() | HARMLESS
    for frame in transforms["frames"]:
        frame |= {"colmap_im_id": 3, "sharpness": 40.5, "rotation": 0.01}
    found = opened(folder, transforms)
    assert np.array_equal(found.intrinsics, expected.intrinsics) and not caplog.records
    for frame in transforms["frames"]:
        frame["glare"] = 1
    opened(folder, transforms | {"mood": "grey"})
    [record] = caplog.records
    assert record.getMessage().endswith("passed over: glare, mood")


MODELS = ["EQUIRECTANGULAR", "FOV", "VR180_L", "ORTHOPHOTO", "FISHEYE624", 7, "fish"]


@pytest.mark.parametrize("model", MODELS)
def test_other_camera_models_are_named(folder: Path, model: object) -> None:
    message = refused(folder, content() | {"camera_model": model})
    assert f"found {str(model)!r}" in message and "camera_model" in message


@pytest.mark.parametrize("keys", [{"is_fisheye": True}, {"camera_type": "fisheye"}, {"projection": "fisheye"}])
def test_two_kinds_of_lenses_contradict_each_other(folder: Path, keys: Transforms) -> None:
    message = refused(folder, content() | keys)  # beside camera_model OPENCV
    assert "camera_model 'OPENCV'" in message and next(iter(keys)) in message


def test_every_spelling_of_a_fisheye_is_one(folder: Path) -> None:
    plain, spellings = content(), [{"is_fisheye": True}, {"camera_model": "opencv_fisheye"}, {"camera_type": "fisheye"}]
    del plain["camera_model"]
    coefficients = {"k1": 0.1, "k2": -0.02, "k3": 0.01, "k4": 0.005}
    scenes = [opened(folder, plain | keys | coefficients) for keys in spellings]
    scenes.append(opened(folder, plain | {"is_fisheye": True, "distortion_params": [0.1, -0.02, 0.01, 0.005, 0, 0]}))
    for scene in scenes:
        assert scene.lenses[0].fisheye and scene.lenses[0].distortion == (0.1, -0.02, 0.01, 0.005)
    assert "found 'p1'" in refused(folder, plain | {"is_fisheye": True, "p1": 0.1})


def test_lists_of_coefficients_have_nerfstudios_order(folder: Path) -> None:
    scene = opened(folder, content() | {"distortion_params": [-0.1, 0.02, 0.01, 0, 0.003, -0.004]})
    assert scene.lenses[0].distortion == (-0.1, 0.02, 0.003, -0.004, 0.01)
    full = content() | {
        "camera_model": "FULL_OPENCV",
        "is_fisheye": False,
        "k1": 0.1,
        "k4": 0.2,
        "k5": 0.01,
        "k6": 0.02,
        "p2": 0.001,
    }
    assert opened(folder, full).lenses[0].distortion == (0.1, 0, 0, 0.001, 0, 0.2, 0.01, 0.02)
    assert "distortion_params" in refused(folder, content() | {"distortion_params": [0.1, 0.2]})
    assert "found 'k4'" in refused(folder, content() | {"distortion_params": [0, 0, 0, 0.1, 0, 0]})


def test_focal_lengths_may_be_angles(folder: Path) -> None:
    expected = opened(folder, content()).intrinsics
    bare = {key: value for key, value in content().items() if key not in ("fl_x", "fl_y", "w", "h")}
    across, down = 2 * atan(WIDTH / 2 / FX), 2 * atan(HEIGHT / 2 / FY)
    for keys in (
        {"camera_angle_x": across, "camera_angle_y": down},
        {"x_fov": degrees(across), "y_fov": degrees(down)},
        {"camera_angle_x": across, "fl_y": FY},
        {"fl_x": FX, "fl_y": FY, "camera_angle_x": 9e-9},  # as all programs take it
    ):
        assert np.allclose(opened(folder, bare | keys).intrinsics, expected)
    square = opened(folder, bare | {"camera_angle_x": across}).intrinsics.reshape(-1, 3, 3)
    assert np.allclose(square[:, [0, 1], [0, 1]], FX)
    assert "found none" in refused(folder, bare)
    assert "camera_angle_x" in refused(folder, bare | {"camera_angle_x": 57.0})


def test_a_size_that_is_stated_counts(folder: Path) -> None:
    bare = {key: value for key, value in content().items() if key not in ("w", "h")}
    for keys, size in (({}, (HEIGHT, WIDTH)), ({"w": 40}, (HEIGHT, 40)), ({"h": 30.0}, (30, WIDTH))):
        assert opened(folder, bare | keys).file_size == size
    assert "w: expected a whole number" in refused(folder, bare | {"w": 32.5})


@pytest.mark.parametrize("factor", [0.5, 1.75])
def test_a_camera_of_another_picture_size_is_no_camera_of_this_one(
    folder: Path, factor: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a stated size it is refused; with one the picture may be a crop, which is worth a warning."""
    numbers = {"fl_x": FX * factor, "fl_y": FY * factor, "cx": WIDTH / 2 * factor, "cy": HEIGHT / 2 * factor}
    bare = {key: value for key, value in content().items() if key not in ("w", "h")}
    other = f"{WIDTH * factor:g}x{HEIGHT * factor:g}"
    message = refused(folder, bare | numbers)
    assert f"expected intrinsics of a {WIDTH}x{HEIGHT} picture, found those of one of {other}" in message
    assert len(opened(folder, content() | numbers)) == 3
    [warning] = caplog.messages
    assert f"0.png is the middle of a {other} picture" in warning and "unless it is a crop" in warning


NUMBERS = {"fl_x": FX * 1.1, "fl_y": FY * 1.2, "cx": CX - 2.5, "cy": CY - 1.5, "k1": -0.01}
CHANGED: list[Transforms] = [
    *({key: value} for key, value in NUMBERS.items()),
    {"camera_angle_x": 2 * atan(WIDTH / 2 / NUMBERS["fl_x"])},
    {"distortion_params": [-0.01, 0, 0, 0, 0, 0]},
    {"camera_model": "OPENCV_FISHEYE"},
]


@pytest.mark.parametrize("change", CHANGED)
def test_each_key_of_a_frame_overrides_the_top(folder: Path, change: Transforms) -> None:
    """A frame that says it itself has the camera that a file saying so for all frames has; the others do not."""
    top = content()
    if "camera_angle_x" in change:
        top = {key: value for key, value in top.items() if key != "fl_x"}
    everywhere, plain = opened(folder, top | change), opened(folder, content())
    transforms = content()
    transforms["frames"][1] |= change
    found = opened(folder, transforms)
    assert np.allclose(found.camera(1).intrinsics, everywhere.camera(1).intrinsics)
    assert not np.allclose(found.camera(1).intrinsics, plain.camera(1).intrinsics)
    assert np.allclose(found.camera(0).intrinsics, plain.camera(0).intrinsics)


@pytest.mark.parametrize("key", ["near", "applied_scale", "integer_depth_scale", "test_filenames"])
def test_keys_of_the_scene_do_not_count_in_a_frame(folder: Path, key: str) -> None:
    transforms = content()
    transforms["frames"][2][key] = 0.5
    assert f"frame 2: expected '{key}' beside 'frames'" in refused(folder, transforms)
