"""What is wrong with transforms.json is one clear line, and no path leads out of the folder."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_folder import FRAMES, HEIGHT, WIDTH, content, message_of, open_own, write_own
from posed_scenes import Transforms, write_transforms

from gpnerf.data.posed_images import posed_images_scene
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache
from gpnerf.data.transforms_keys import LENS_KEYS
from gpnerf.errors import UserError

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_own(tmp_path)


def set_frame(**values: object) -> Callable[[Transforms], None]:
    return lambda transforms: transforms["frames"][1].update(values)


def set_top(**values: object) -> Callable[[Transforms], None]:
    return lambda transforms: transforms.update(values)


FAULTS: list[tuple[Callable[[Transforms], object], list[str]]] = [
    (set_top(frames=[]), ["list 'frames'"]),
    (set_top(frames={"a": 1}), ["list 'frames'"]),
    (set_top(fl_x="wide"), ["frame 0: fl_x", "finite number", "wide"]),
    (set_top(fl_x=None, fl_y=None), ["fl_x", "camera_angle_x", "found none"]),
    (set_top(fl_x=-5.0), ["above 0"]),
    (set_top(w=0), ["above 0"]),
    (set_top(w=10**400), ["w", "finite number"]),
    (set_top(w=10**7), ["65536 pixels"]),
    (set_top(k1=float("nan")), ["k1", "finite number"]),
    (set_top(near=1.0), ["far"]),
    (set_top(near=3.0, far=2.0), ["0 < near < far"]),
    (set_frame(transform_matrix=[[1, 0, 0, 0]]), ["frame 1: transform_matrix", "4 rows of 4 numbers"]),
    (set_frame(transform_matrix=np.full((4, 4), np.nan).tolist()), ["frame 1", "finite number"]),
    (set_frame(transform_matrix=(2 * np.eye(4)).tolist()), ["frame 1", "rotation"]),
    (set_frame(transform_matrix=np.diag([1, 1, -1, 1]).tolist()), ["frame 1", "rotation"]),
    (set_frame(file_path="images/0.png"), ["once", "images/0.png"]),
    (set_frame(file_path="images/9.png"), ["frame 1", "images/9.png", "no such file"]),
    (set_frame(file_path=7), ["file_path", "name of a file"]),
    (lambda transforms: transforms["frames"][1].pop("file_path"), ["file_path", "None"]),
    (lambda transforms: transforms["frames"].append("images/0.png"), ["frame 3", "JSON object"]),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_faults_of_transforms(folder: Path, fault: Callable[[Transforms], object], words: list[str]) -> None:
    transforms = content()
    write_transforms(folder, transforms)
    open_own(folder)
    fault(transforms)
    path = write_transforms(folder, transforms)
    message = message_of(folder)
    assert all(word in message for word in [str(path), *words]), message


@pytest.mark.parametrize("text", [b"", b"[1, 2]", b'{"frames": [', b"\xff\xfe{}", b"[" * 100_000])
def test_no_json(folder: Path, text: bytes) -> None:
    (folder / "transforms.json").write_bytes(text)
    assert str(folder / "transforms.json") in message_of(folder)


def test_neither_file_says_what_to_do(folder: Path) -> None:
    message = message_of(folder)
    assert all(word in message for word in ("transforms.json", "sparse/0/", "COLMAP", "ns-process-data"))


ESCAPES = ["../other/images/0.png", "images/../../other/images/0.png", "link/0.png", "linked.png", "loop/0.png"]


@pytest.mark.parametrize("key", ["file_path", "depth_file_path"])
@pytest.mark.parametrize("name", [*ESCAPES, "{}/other/images/0.png", "images/0.png\0", "x" * 10_000])
def test_no_path_of_transforms_leaves_the_folder(folder: Path, key: str, name: str) -> None:
    outside = folder.parent / "other" / "images"
    (folder / "link").symlink_to(outside)
    (folder / "linked.png").symlink_to(outside / "0.png")
    (folder / "loop").symlink_to(folder / "loop")
    transforms = content()
    transforms["frames"][1][key] = name.format(folder.parent)
    write_transforms(folder, transforms)
    assert f"frame 1: {key}" in message_of(folder)


def test_a_scene_folder_may_itself_be_a_link_and_links_may_stay_inside(folder: Path) -> None:
    (folder / "again").symlink_to(folder / "images")
    transforms = content()
    transforms["frames"][1]["file_path"] = "again/1.png"
    write_transforms(folder, transforms)
    linked = folder.with_name("linked")
    linked.symlink_to(folder)
    assert len(open_own(linked)) == FRAMES


def test_label_files_behind_a_link_to_elsewhere_are_refused(folder: Path) -> None:
    write_transforms(folder, content())
    (folder / "label-filt").symlink_to(folder.parent / "other" / "images")
    assert "leads elsewhere" in message_of(folder)


NUMBERS = st.floats() | st.integers() | st.sampled_from([0, 1, -1, 1e308, 10**400])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SCENE_KEYS = ["near", "far", "frames", "n_frames", "applied_scale", "integer_depth_scale", "depth_unit_scale_factor"]
SCENE_KEYS += ["train_filenames", "test_filenames", "rolling_shutter", "is_new"]
FRAME_KEYS = ["file_path", "depth_file_path", "depth_path", "transform_matrix", "transform_matrix_end", "mask_path"]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_transforms_is_read_or_refused(folder: Path, data: st.DataObject) -> None:
    transforms = content()
    frame = transforms["frames"][1]
    for _ in range(data.draw(st.integers(1, 3))):
        place: dict[str, Any] = data.draw(st.sampled_from([transforms, frame]))
        keys = sorted(LENS_KEYS) + (SCENE_KEYS if place is transforms else FRAME_KEYS)
        place[data.draw(st.sampled_from(keys))] = data.draw(ANYTHING)
    rows = frame.get("transform_matrix")
    if isinstance(rows, list) and len(rows) == 4 and data.draw(st.booleans()):
        rows[data.draw(st.integers(0, 3))] = data.draw(st.lists(NUMBERS, min_size=4, max_size=4) | ANYTHING)
    write_transforms(folder, transforms)
    with suppress(UserError):
        scene = open_own(folder)
        assert np.isfinite(scene.intrinsics).all() and np.isfinite(scene.cam_to_world).all()


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | ANYTHING.map(lambda value: json.dumps(value).encode())
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_content_is_refused(folder: Path, text: bytes) -> None:
    (folder / "transforms.json").write_bytes(text)
    assert "transforms.json" in message_of(folder)


def test_intrinsics_of_another_resolution_are_noticed(folder: Path) -> None:
    transforms = content() | {"w": 2 * WIDTH, "h": 2 * HEIGHT}
    write_transforms(folder, transforms)
    with pytest.raises(UserError, match=r"0\.png: expected 64x48 pixels .* found 32x24"):
        open_own(folder).image(0)


def test_near_and_far_that_nobody_tells(folder: Path) -> None:
    write_transforms(folder, content())
    protocol: Protocol = load_protocol("clean", "posed_images", CONFIGS)
    with pytest.raises(UserError, match=r"own: expected near and far.*--depth_range"):
        protocol.depth_range(open_own(folder), "evaluation")


@pytest.mark.parametrize(("size", "warned"), [((24, 32), False), ((23, 32), False), ((32, 24), True)])
def test_squeezed_photographs_are_mentioned(
    folder: Path, caplog: pytest.LogCaptureFixture, size: tuple[int, int], warned: bool
) -> None:
    write_transforms(folder, content())
    posed_images_scene(folder, name="own", height=size[0], width=size[1], label_map=None, cache=FrameCache(0))
    assert ("squeezed" in caplog.text) == warned


def test_squeezed_photographs_are_the_ones_that_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a landscape and two portraits only these are squeezed, and no size keeps the shape of all."""
    transforms = content()
    for number in (1, 2):
        iio.imwrite(folder / "images" / f"{number}.png", np.zeros((WIDTH, HEIGHT, 3), np.uint8))
        transforms["frames"][number] |= {"w": HEIGHT, "h": WIDTH, "cx": HEIGHT / 2, "cy": WIDTH / 2}
    write_transforms(folder, transforms)
    open_own(folder)
    [record] = caplog.records
    said = record.getMessage()
    assert f"such as {folder / 'images' / '1.png'} of 24x32 are squeezed into 32x24; photographs are of several" in said
