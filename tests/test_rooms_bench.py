"""rooms-bench: its lists agree with each other, and its rooms are the ones whose labels were recorded."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from tiny_runs import REPOSITORY

from gpnerf.data.label_digests import label_digest, read_digests, verify_labels
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.rooms import write_room
from gpnerf.errors import UserError

CONFIGS = REPOSITORY / "configs"
DIGESTS = CONFIGS / "rooms_bench.sha256"


def test_no_room_serves_twice_and_every_room_has_a_digest() -> None:
    bench = load_protocol(str(CONFIGS / "protocols/rooms_bench.json"), "rooms", CONFIGS)
    quickstart = load_protocol("clean", "rooms", CONFIGS)
    parts = [bench.train_scenes, bench.validation_scenes, bench.scenes]
    assert [len(part) for part in parts] == [48, 1, 8]
    everyone = [scene for part in parts for scene in part]
    others = {*quickstart.train_scenes, *quickstart.validation_scenes, *quickstart.scenes}
    assert len(set(everyone)) == len(everyone) and not others & set(everyone)
    digests = read_digests(DIGESTS)
    assert list(digests) == everyone and len(set(digests.values())) == len(everyone)
    assert bench.metrics == quickstart.metrics and bench.evaluation_targets == quickstart.evaluation_targets


def small_room(folder: Path) -> Path:
    write_room(folder, 3, "scannet", 12, 40, 32)
    return folder


def test_a_changed_label_is_noticed_and_other_files_are_not(tmp_path: Path) -> None:
    room = small_room(tmp_path / "room_0003")
    listed = tmp_path / "listed.sha256"
    listed.write_text(f"{label_digest(room)}  room_0003\n")
    label = room / "label-filt/10.png"
    image = cv2.imread(str(label), -1)
    cv2.imwrite(str(label), image, [cv2.IMWRITE_PNG_COMPRESSION, 0])  # other bytes, the same labels
    (room / "color/0.jpg").unlink()
    verify_labels(tmp_path, listed)
    image[5, 7] += 1
    cv2.imwrite(str(label), image)
    with pytest.raises(UserError, match=r"room_0003: expected labels of SHA-256 .* found"):
        verify_labels(tmp_path, listed)


def test_frames_that_change_places_or_are_missing_change_the_digest(tmp_path: Path) -> None:
    room = small_room(tmp_path / "room_0003")
    before, labels = label_digest(room), room / "label-filt"
    (labels / "2.png").rename(labels / "x")
    (labels / "10.png").rename(labels / "2.png")
    (labels / "x").rename(labels / "10.png")
    swapped = label_digest(room)
    (labels / "11.png").unlink()
    assert len({before, swapped, label_digest(room)}) == 3


def test_a_faulty_list_of_digests_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.sha256: expected a file of label digests"):
        read_digests(tmp_path / "none.sha256")
    (tmp_path / "bad.sha256").write_text("abc  room_1\nroom_2\n")
    with pytest.raises(UserError, match=r"bad.sha256, line 2: expected .*'room_2'"):
        read_digests(tmp_path / "bad.sha256")


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["room_10005", "room_19001"])
def test_a_room_has_the_recorded_labels(tmp_path: Path, scene: str) -> None:
    write_room(tmp_path / scene, int(scene.removeprefix("room_")), "scannet", 40, 160, 128)
    assert label_digest(tmp_path / scene) == read_digests(DIGESTS)[scene]


def test_the_benchmark_takes_no_other_size(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/make_rooms.py", "--out", str(tmp_path), "--bench", "--width", "320"]
    refused = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and refused.stderr.startswith("error: --bench: expected no --width")
