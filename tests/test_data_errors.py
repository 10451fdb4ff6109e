"""Every fault of the data on disk is one line that names the file, what was expected and what was found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from tiny_scenes import write_label_table, write_replica, write_scannet

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import EvaluationExamples
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError

CONFIGS = Path(__file__).parent.parent / "configs"


def protocol_of(dataset: str) -> Protocol:
    return replace(load_protocol("clean", dataset, CONFIGS), num_source_views=3, width=32, height=24)


def evaluate(root: Path, dataset: str, scene: str) -> None:
    protocol = protocol_of(dataset)
    for opened in open_scenes(root, [scene], protocol, FrameCache(0)):
        examples = EvaluationExamples(opened, protocol)
        for place in range(len(examples)):
            examples[place]


def message_of(root: Path, dataset: str, scene: str) -> str:
    with pytest.raises(UserError) as caught:
        evaluate(root, dataset, scene)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fifteen_numbers(path: Path) -> None:
    path.write_text(" ".join(path.read_text().split()[:15]))


def stray_word(path: Path) -> None:
    path.write_text(path.read_text().replace(path.read_text().split()[3], "none", 1))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign_label(path: Path) -> None:
    raw = iio.imread(path)
    raw[:8, :8] = 777
    iio.imwrite(path, raw)


def other_size(path: Path) -> None:
    iio.imwrite(path, np.zeros((20, 20, 3), np.uint8))


def negative_focal_length(path: Path) -> None:
    path.write_text("-1 " + " ".join(path.read_text().split()[1:]))


# 2 is an evaluation target of 12 frames; the fault lies in the file named, the words must be in the message.
SCANNET_FAULTS: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("pose/2.txt", fifteen_numbers, ["frame 2", "expected 16 numbers", "found 15"]),
    ("pose/2.txt", stray_word, ["frame 2", "expected 16 numbers", "text"]),
    ("pose/2.txt", Path.unlink, ["frame 2", "no such file"]),
    ("intrinsic/intrinsic_color.txt", Path.unlink, ["intrinsics", "no such file"]),
    ("intrinsic/intrinsic_color.txt", fifteen_numbers, ["expected 16 numbers", "found 15"]),
    ("intrinsic/intrinsic_color.txt", negative_focal_length, ["focal lengths -1 62, which must be above 0"]),
    ("color/2.jpg", cut_in_half, ["cannot be decoded"]),
    ("color/2.jpg", other_size, ["expected 64x48", "found 20x20"]),
    ("depth/2.png", cut_in_half, ["cannot be decoded"]),
]


@pytest.mark.parametrize(("file", "fault", "words"), SCANNET_FAULTS)
def test_scannet_faults(tmp_path: Path, file: str, fault: Callable[[Path], object], words: list[str]) -> None:
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene0000_00", frames=12)
    write_label_table(folder.parent)
    evaluate(tmp_path, "scannet", folder.name)
    fault(folder / file)
    message = message_of(tmp_path, "scannet", folder.name)
    assert all(word in message for word in [str(folder / file), *words]), message


def test_an_unknown_label_id_is_told_once_and_counts_as_no_class(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene0000_00", frames=12)
    table = write_label_table(folder.parent)
    for number in (2, 3):
        foreign_label(folder / "label-filt" / f"{number}.png")
    [scene] = open_scenes(tmp_path, [folder.name], protocol_of("scannet"), FrameCache(0))
    labels = [scene.labels(number) for number in (2, 3)]
    assert all((one[:4, :4] == 20).all() and (one < 20).any() for one in labels)
    [message] = [record.getMessage() for record in caplog.records]
    path = folder / "label-filt" / "2.png"
    assert message.startswith(f"{folder.name}: label ids that {table} does not have, such as 777 in {path}")


def test_label_table_faults(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene0000_00", frames=12)
    table = folder.parent / "scannetv2-labels.combined.tsv"
    assert "expected the label table" in message_of(tmp_path, "scannet", folder.name)
    table.write_text("id,nyu40id\n1,1\n")
    assert "tab-separated columns" in message_of(tmp_path, "scannet", folder.name)
    table.write_text("id\tnyu40id\n1\t1\n2\tchair\n")
    message = message_of(tmp_path, "scannet", folder.name)
    assert f"{table}, line 3" in message and "chair" in message


def test_without_labels_no_table_is_needed(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene0000_00", frames=12, labels=False, depth=False)
    evaluate(tmp_path, "scannet", folder.name)


def test_empty_label_and_depth_folders_count_as_absent(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene0000_00", frames=12, labels=False, depth=False)
    for part in ("label-filt", "depth"):
        (folder / part).mkdir()
        (folder / part / "readme.txt").write_text("nothing yet")
    evaluate(tmp_path, "scannet", folder.name)
    [scene] = open_scenes(tmp_path, [folder.name], protocol_of("scannet"), FrameCache(0))
    assert not scene.has_labels and scene.labels(2) is None and scene.depth(2) is None


def test_instance_files_are_not_read_for_examples(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene0000_00", frames=12)
    write_label_table(folder.parent)
    cut_in_half(folder / "instance-filt" / "2.png")
    evaluate(tmp_path, "scannet", folder.name)
    [scene] = open_scenes(tmp_path, [folder.name], protocol_of("scannet"), FrameCache(0))
    with pytest.raises(UserError, match="cannot be decoded"):
        scene.instances(2)


@pytest.mark.parametrize("word", ["nan ", "0 "])
def test_no_pose_at_all(tmp_path: Path, word: str) -> None:
    folder = write_scannet(tmp_path / "data" / "scannet" / "scene0000_00", frames=3, labels=False)
    for path in (folder / "pose").iterdir():
        path.write_text(word * 16)
    message = message_of(tmp_path, "scannet", folder.name)
    assert str(folder / "pose") in message and "inf, NaN or zeros in all 3" in message


def test_an_empty_colour_folder_and_a_folder_that_is_no_scene(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "scannet" / "scene0000_00"
    folder.mkdir(parents=True)
    assert f"{folder}: expected a scene with color/" in message_of(tmp_path, "scannet", folder.name)
    (folder / "color").mkdir()
    assert "expected colour images N.jpg, N.jpeg or N.png, found 0 files, none" in message_of(
        tmp_path, "scannet", folder.name
    )


def replace_line(path: Path, number: int, change: Callable[[list[str]], list[str]]) -> None:
    lines = path.read_text().splitlines()
    lines[number] = " ".join(change(lines[number].split()))
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda numbers: numbers[:15], ["expected 16 numbers", "found 15"]),
        (lambda numbers: [*numbers, "1.0"], ["expected 16 numbers", "found 17"]),
        (lambda numbers: ["nan", *numbers[1:]], ["inf or NaN"]),
        (lambda numbers: ["x", *numbers[1:]], ["text"]),
    ],
)
def test_replica_trajectory_faults(tmp_path: Path, change: Callable[[list[str]], list[str]], words: list[str]) -> None:
    folder = write_replica(tmp_path / "data" / "Replica" / "office_0" / "Sequence_1", frames=12)
    evaluate(tmp_path, "replica", "office_0")
    replace_line(folder / "traj_w_c.txt", 5, change)
    message = message_of(tmp_path, "replica", "office_0")
    assert all(word in message for word in [f"{folder / 'traj_w_c.txt'}, line 6", "frame 5", *words]), message


def test_replica_missing_parts(tmp_path: Path) -> None:
    folder = write_replica(tmp_path / "data" / "Replica" / "office_0" / "Sequence_1", frames=12)
    trajectory = folder / "traj_w_c.txt"
    trajectory.write_text("\n".join(trajectory.read_text().splitlines()[:4]))
    assert "expected a line for frame 11, found 4 lines" in message_of(tmp_path, "replica", "office_0")
    trajectory.unlink()
    assert str(trajectory) in message_of(tmp_path, "replica", "office_0")
    for path in (folder / "rgb").iterdir():
        path.rename(path.with_name(path.name.removeprefix("rgb_")))
    assert "expected colour images rgb_N.png" in message_of(tmp_path, "replica", "office_0")


def test_replica_sequences(tmp_path: Path) -> None:
    scene = tmp_path / "data" / "Replica" / "office_0"
    write_replica(scene / "Sequence_2", frames=5)
    assert str(scene / "Sequence_1") in message_of(tmp_path, "replica", "office_0")
    write_replica(scene / "Sequence_1", frames=4)
    protocol, cache = protocol_of("replica"), FrameCache(0)
    every = open_scenes(tmp_path, ["office_0"], protocol, cache, every_sequence=True)
    assert [(one.name, len(one)) for one in every] == [("office_0", 4), ("office_0/Sequence_2", 5)]
    assert [len(one) for one in open_scenes(tmp_path, ["office_0"], protocol, cache)] == [4]
    named = open_scenes(tmp_path, ["office_0/Sequence_2"], protocol, cache)
    assert [(one.name, len(one)) for one in named] == [("office_0/Sequence_2", 5)]
