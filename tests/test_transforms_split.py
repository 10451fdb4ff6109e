"""Which photographs are rendered and which looked at, as the lists of transforms.json and Blender's files say."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from own_folder import CAMERA, HEIGHT, WIDTH, message_of, open_own
from posed_scenes import Transforms, transforms_of, write_transforms
from tiny_scenes import circle_pose, smooth_image

from gpnerf.data.protocol import Protocol, resolve
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import Scene

CONFIGS = Path(__file__).parent.parent / "configs"


def opened(folder: Path, transforms: Transforms) -> Scene:
    write_transforms(folder, transforms)
    return open_own(folder)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twelve") / "own"
    (folder / "images").mkdir(parents=True)
    for number in range(12):
        iio.imwrite(folder / "images" / f"{number}.png", smooth_image(np.random.default_rng(0), HEIGHT, WIDTH))
    return folder


def names_of(*numbers: int) -> list[str]:
    return [f"./images/{number}.png" for number in numbers]


def frames_of(*numbers: int) -> Transforms:
    poses = np.stack([circle_pose(number, 12) for number in numbers])
    return transforms_of(poses, CAMERA, (HEIGHT, WIDTH), names_of(*numbers), near=0.5, far=7)


def protocol() -> Protocol:
    return load_protocol("clean", "posed_images", CONFIGS)


def split_of(scene: Scene) -> tuple[list[int], list[int]]:
    """The numbers of the frames that are rendered, and of those that training and sources are taken from."""
    rules = protocol()
    rendered, others = rules.evaluation_indices(scene), rules.training_indices(scene)
    assert set(rules.finetuning_indices(scene)) == set(others)
    return scene.numbers[rendered].tolist(), scene.numbers[others].tolist()


ALL = tuple(range(12))
SPLITS = [
    ({"train": range(8), "val": range(8, 10), "test": range(10, 12)}, range(10, 12), range(8)),
    ({"train": range(9), "val": range(9, 12), "test": range(9, 12)}, range(9, 12), range(9)),
    ({"train": range(2, 12), "val": (), "test": (0, 1)}, (0, 1), range(2, 12)),
    ({"train": range(3, 12)}, range(3), range(3, 12)),
    ({"test": (5,)}, (5,), [number for number in ALL if number != 5]),
    ({"train": (11, *range(8)), "test": (11, 8)}, (8, 11), range(8)),
]


@pytest.mark.parametrize(("lists", "rendered", "others"), SPLITS)
def test_lists_of_files_are_the_split(
    twelve: Path, caplog: pytest.LogCaptureFixture, lists: dict, rendered: list[int], others: list[int]
) -> None:
    more = {f"{part}_filenames": names_of(*numbers) for part, numbers in lists.items()}
    scene = opened(twelve, frames_of(*ALL) | more)
    assert split_of(scene) == (list(rendered), list(others))
    [record] = caplog.records
    assert f"{len(rendered)} photographs are rendered in evaluation, from {len(others)} others" in record.getMessage()
    for place, number in enumerate(scene.numbers):
        assert scene.path("colour", place) == twelve / f"images/{number}.png"
        assert np.allclose(scene.cam_to_world[place], circle_pose(number, 12))


def test_without_lists_the_protocol_and_its_digest_are_as_ever(twelve: Path) -> None:
    plain = opened(twelve, frames_of(*ALL))
    assert split_of(plain) == ([0, 8], [number for number in ALL if number not in (0, 8)])
    by_hand = opened(twelve, frames_of(*ALL) | {"test_filenames": names_of(0, 8)})
    rules = protocol()
    assert resolve(rules, [plain])["sha256"] == resolve(rules, [by_hand])["sha256"]
    other = opened(twelve, frames_of(*ALL) | {"test_filenames": names_of(3)})
    assert resolve(rules, [plain])["sha256"] != resolve(rules, [other])["sha256"]


def test_lists_that_leave_nothing_to_look_at_are_passed_over(twelve: Path, caplog: pytest.LogCaptureFixture) -> None:
    every = {f"{part}_filenames": names_of(*ALL) for part in ("train", "val", "test")}
    assert split_of(opened(twelve, frames_of(*ALL) | every))[0] == [0, 8]
    assert "passed over" in caplog.text


def test_lists_with_faults(twelve: Path) -> None:
    for value, words in (("images/0.png", "list of file names"), ([3], "name of a file"), (names_of(77), "77.png")):
        write_transforms(twelve, frames_of(*ALL) | {"test_filenames": value})
        message = message_of(twelve)
        assert "test_filenames: expected" in message and words in message


def test_the_first_frames_are_taken_where_the_file_says_how_many(twelve: Path) -> None:
    assert len(opened(twelve, frames_of(*reversed(ALL)) | {"n_frames": 4})) == 4
    assert opened(twelve, frames_of(*ALL) | {"n_frames": 4}).numbers.tolist() == [0, 1, 2, 3]
    assert len(opened(twelve, frames_of(*ALL) | {"n_frames": 40})) == 12
    write_transforms(twelve, frames_of(*ALL) | {"n_frames": 0})
    assert "n_frames: expected a number above 0" in message_of(twelve)


@pytest.mark.parametrize("held_out", [["test"], ["val"], ["test", "val"]])
def test_blenders_files_are_one_scene(
    tmp_path: Path, twelve: Path, held_out: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "lego"
    folder.mkdir()
    for part, numbers in [("train", range(9)), *((name, range(9, 12)) for name in held_out)]:
        transforms = frames_of(*numbers)
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            del transforms[key]
        (folder / part).mkdir()
        for number, frame in zip(numbers, transforms["frames"], strict=True):
            (folder / part / f"r_{number}.png").write_bytes((twelve / f"images/{number}.png").read_bytes())
            frame |= {"file_path": f"./{part}/r_{number}", "rotation": 0.0125}
        write_transforms(folder, transforms | {"camera_angle_x": 0.9}).rename(folder / f"transforms_{part}.json")
    scene = open_own(folder)
    rendered = {scene.path("colour", place) for place in protocol().evaluation_indices(scene)}
    assert rendered == {folder / held_out[0] / f"r_{number}.png" for number in range(9, 12)}
    assert len(protocol().training_indices(scene)) == 9 and scene.depth_range == (0.5, 7.0)
    assert "3 photographs are rendered in evaluation, from 9 others" in caplog.text


@pytest.mark.parametrize("pictures", [(), (9, 10, 11)])
def test_cameras_that_were_not_rendered_leave_the_protocol_its_targets(
    tmp_path: Path, twelve: Path, pictures: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Exporters write cameras to render without pictures; if validation has some, these are rendered."""
    folder = tmp_path / "own"
    (folder / "images").mkdir(parents=True)
    for number in (*range(9), *pictures):
        (folder / f"images/{number}.png").write_bytes((twelve / f"images/{number}.png").read_bytes())
    write_transforms(folder, frames_of(*range(9))).rename(folder / "transforms_train.json")
    unseen = frames_of(9, 10)
    for frame in unseen["frames"]:
        frame["file_path"] = f"test/{Path(frame['file_path']).name}"
    write_transforms(folder, unseen).rename(folder / "transforms_test.json")
    if pictures:
        write_transforms(folder, frames_of(*pictures)).rename(folder / "transforms_val.json")
    assert split_of(open_own(folder))[0] == (list(pictures) or [0, 8])
    assert "transforms_test.json: passed over, as none of the pictures" in caplog.text
