"""Protocols: the shipped files, target and source rules on scenes, the resolved lists, split files."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_scenes import circle_pose

from gpnerf.data.files import FileSeries, SceneFiles
from gpnerf.data.protocol import FrameRule, Protocol, resolve
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, ImageForm, Scene
from gpnerf.data.splits import read_split, scene_name
from gpnerf.errors import UserError
from gpnerf.metrics.depth import depth_scores
from gpnerf.metrics.segmentation import SegmentationScores

CONFIGS = Path(__file__).parent.parent / "configs"
SHIPPED = [
    ("scannet", "clean"),
    ("scannet", "release"),
    ("replica", "clean"),
    ("replica", "release"),
    ("rooms", "clean"),
    ("posed_images", "clean"),
]


def posed_scene(count: int, step: int = 1, name: str = "scene") -> Scene:
    """Poses and frame numbers only; no file is ever opened."""
    return Scene(
        name=name,
        files=SceneFiles(FileSeries(Path("color"), "", ".jpg")),
        numbers=step * np.arange(count),
        intrinsics=np.tile(np.eye(3), (count, 1, 1)),
        cam_to_world=np.stack([circle_pose(i, count) for i in range(count)]),
        file_size=(4, 4),
        form=ImageForm(4, 4, (1.0, 1.0)),
        label_map=None,
        strict_labels=True,
        cache=FrameCache(0),
    )


@pytest.mark.parametrize(("dataset", "kind"), SHIPPED)
def test_shipped_protocols(dataset: str, kind: str) -> None:
    protocol = load_protocol(kind, dataset, CONFIGS)
    assert protocol.name == f"{dataset}_{kind}" and protocol.dataset == dataset
    assert protocol.compat == ("release" if kind == "release" else "none")
    shared = set(protocol.train_scenes) & (set(protocol.scenes) | set(protocol.validation_scenes))
    # The released Replica lists test on scenes that are trained on; nothing else may.
    assert shared == ({"office_0", "room_0"} if protocol.name == "replica_release" else set())
    if kind == "clean" and dataset == "scannet":
        assert not set(protocol.validation_scenes) & set(protocol.scenes)


def test_scannet_split_sizes() -> None:
    protocol = load_protocol("clean", "scannet", CONFIGS)
    assert (len(protocol.train_scenes), len(protocol.scenes)) == (198, 10)
    assert protocol.validation_scenes == ("scene0200_00", "scene0226_00")
    assert "scene0211_00" in load_protocol("release", "scannet", CONFIGS).validation_scenes


@pytest.mark.parametrize("dataset", ["scannet", "replica", "rooms"])
def test_clean_evaluation_never_shows_a_target_to_anyone(dataset: str) -> None:
    protocol, scene = load_protocol("clean", dataset, CONFIGS), posed_scene(40 if dataset == "rooms" else 230)
    targets = protocol.evaluation_indices(scene)
    sources = [protocol.evaluation_sources(scene, place) for place in range(len(targets))]
    assert not set(targets) & {source for chosen in sources for source in chosen}
    assert not set(targets) & set(protocol.finetuning_indices(scene))
    for target, chosen in zip(targets, sources, strict=True):
        assert len(set(chosen)) == protocol.num_source_views
        assert min(abs(source - target) for source in chosen) >= protocol.min_index_gap
        distances = protocol.distances(scene, target)
        assert all(distances[near] <= distances[far] for near, far in pairwise(chosen))


def test_rooms_targets_are_the_stated_frames() -> None:
    protocol, scene = load_protocol("clean", "rooms", CONFIGS), posed_scene(40)
    assert protocol.evaluation_indices(scene) == [4, 12, 20, 28, 36]
    assert protocol.finetuning_indices(scene) == [i for i in range(40) if i not in (4, 12, 20, 28, 36)]
    # On a circle the nearest frames lie on both sides, 2 .. 5 steps away; 4 + 8 is a target itself.
    assert set(protocol.evaluation_sources(scene, 0)) == {0, 1, 2, 6, 7, 8, 9, 39}


def test_index_pattern_on_sparse_frame_numbers() -> None:
    protocol, scene = load_protocol("clean", "scannet", CONFIGS), posed_scene(100, step=20)
    resolved = resolve(protocol, [scene])["resolved"]["scene"]
    assert [entry["target"] for entry in resolved] == [40, 440, 840, 1240, 1640]
    assert all(source % 20 == 0 for entry in resolved for source in entry["sources"])


def test_clean_sources_do_not_depend_on_the_world_frame() -> None:
    protocol, scene = load_protocol("clean", "scannet", CONFIGS), posed_scene(60)
    moved = replace(scene, cam_to_world=circle_pose(1, 7) @ scene.cam_to_world)
    assert protocol.evaluation_sources(moved, 1) == protocol.evaluation_sources(scene, 1)


@pytest.mark.parametrize(("dataset", "kind"), SHIPPED)
def test_shipped_protocols_name_every_metric(dataset: str, kind: str) -> None:
    state, image = SegmentationScores.empty(2), torch.ones(2, 2)
    colour = {"psnr", "ssim", "lpips", "lpips_unscaled", "psnr_nearest_view"}
    references = {"miou_boundary", "miou_query", "miou_most_frequent"}
    names = load_protocol(kind, dataset, CONFIGS).metrics
    assert set(names) == colour | references | {*state.image(), *state.dataset(), *depth_scores(image, image)}
    assert len(set(names)) == len(names)


def test_a_preview_of_rooms_renders_every_second_pixel() -> None:
    assert load_protocol("clean", "rooms", CONFIGS).render_stride == 2


def test_split_files_lie_next_to_a_protocol_file_or_in_the_configs(tmp_path: Path) -> None:
    data = json.loads((CONFIGS / "protocols" / "rooms_clean.json").read_text())
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data | {"scenes": "mine.txt"}))
    with pytest.raises(UserError) as caught:
        load_protocol(str(path), "rooms", CONFIGS)
    assert all(words in str(caught.value) for words in ("mine.txt", f"in {tmp_path} or {CONFIGS}"))
    (tmp_path / "mine.txt").write_text("room_0077\n")
    (tmp_path / "rooms_val_split.txt").write_text("room_0078\n")
    protocol, shipped = load_protocol(str(path), "rooms", CONFIGS), load_protocol("clean", "rooms", CONFIGS)
    assert (protocol.scenes, protocol.validation_scenes) == (("room_0077",), ("room_0078",))
    assert protocol.train_scenes == shipped.train_scenes


def test_listed_frames_and_sources(tmp_path: Path) -> None:
    data = json.loads((CONFIGS / "protocols" / "scannet_clean.json").read_text())
    data |= {
        "name": "mine",
        "scenes": ["scannet/scene", "other"],
        "evaluation_targets": {"frames": {"scene": [40, 10]}},
        "source_rule": "listed",
        "listed_sources": {"scene": {"40": [0, 30], "10": [20]}},
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data))
    protocol = load_protocol(str(path), "scannet", CONFIGS)
    assert protocol.scenes == ("scene", "other")
    assert resolve(protocol, [posed_scene(6, step=10)])["resolved"] == {
        "scene": [{"target": 40, "sources": [0, 30]}, {"target": 10, "sources": [20]}]
    }
    with pytest.raises(UserError, match="frame 40"):
        resolve(protocol, [posed_scene(6, step=11)])


def test_resolved_protocol_is_plain_json_and_its_hash_follows_its_content() -> None:
    protocol, scene = load_protocol("clean", "rooms", CONFIGS), posed_scene(40)
    resolved = resolve(protocol, [scene])
    assert json.loads(json.dumps(resolved)) == resolved
    assert resolve(protocol, [posed_scene(40)]) == resolved
    numbers = scene.numbers.copy()
    numbers[7] = 70
    others = [
        resolve(replace(protocol, width=protocol.width + 1), [scene]),
        resolve(protocol, [replace(scene, numbers=numbers)]),
    ]
    assert len({resolved["sha256"], *(other["sha256"] for other in others)}) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame_ordr": "numeric"}, "frame_ordr"),
        ({"frame_order": "random"}, "numeric, lexicographic"),
        ({"num_source_views": 0}, "num_source_views"),
        ({"width": "320"}, "width"),
        ({"depth_ranges": {"evaluation": [6, 0.1], "training": [1, 2], "finetuning": [1, 2]}}, "near < far"),
        ({"evaluation_targets": {"begin": 2}}, "begin"),
        ({"evaluation_targets": {"start": "2"}}, "whole numbers"),
        ({"evaluation_targets": {"step": 0}}, "step is not 0"),
        ({"exclude_evaluation_targets": "false"}, "true or false"),
        ({"metrics": [1]}, "metrics"),
        ({"evaluation_targets": [2, 22]}, "evaluation_targets"),
        ({"scenes": "no_such_split.txt"}, "no_such_split.txt"),
        ({"dataset": "replica"}, "scannet"),
        ({"class_map": "replica51"}, "expected 'class_map' scannet20"),
    ],
)
def test_a_faulty_protocol_file_is_one_clear_line(tmp_path: Path, change: dict[str, object], words: str) -> None:
    data = json.loads((CONFIGS / "protocols" / "scannet_clean.json").read_text())
    path = tmp_path / "faulty.json"
    path.write_text(json.dumps(data | change))
    with pytest.raises(UserError) as caught:
        load_protocol(str(path), "scannet", CONFIGS)
    message = str(caught.value)
    assert words in message and "\n" not in message


def test_a_missing_key_a_missing_file_and_broken_json(tmp_path: Path) -> None:
    data = json.loads((CONFIGS / "protocols" / "scannet_clean.json").read_text())
    del data["metrics"]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="metrics"):
        load_protocol(str(path), "scannet", CONFIGS)
    path.write_text('{"name": ')
    with pytest.raises(UserError, match=r"p\.json.*JSON"):
        load_protocol(str(path), "scannet", CONFIGS)
    with pytest.raises(UserError, match=r"nowhere\.json"):
        load_protocol("nowhere.json", "scannet", CONFIGS)
    with pytest.raises(UserError, match="not defined for rooms"):
        load_protocol("release", "rooms", CONFIGS)


def test_too_few_frames() -> None:
    protocol: Protocol = load_protocol("clean", "rooms", CONFIGS)
    with pytest.raises(UserError, match=r"expected 8 source views for frame 4, found [0-7]"):
        resolve(protocol, [posed_scene(10)])
    with pytest.raises(UserError, match="target frames"):
        resolve(protocol, [posed_scene(3)])
    with pytest.raises(UserError, match="the protocol's list"):
        FrameRule(frames={"other": (1,)}).indices(posed_scene(3))


@pytest.mark.parametrize(
    "line", ["scene0160_00", "scannet/scene0160_00", "scannet/scene0160_00/black_320", " scene0160_00/ # why"]
)
def test_forms_of_a_scene_line(tmp_path: Path, line: str) -> None:
    split = tmp_path / "split.txt"
    split.write_text(f"# a comment\n\n{line}\r\n")
    assert read_split(split) == ("scene0160_00",)


def test_replica_lines_may_name_a_sequence() -> None:
    assert scene_name("replica/office_0/Sequence_2") == "office_0/Sequence_2"
    assert scene_name("Replica/office_0") == "office_0"


def test_a_split_that_is_missing_empty_or_repeats_a_scene(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.txt.*one scene a line"):
        read_split(tmp_path / "gone.txt")
    split = tmp_path / "split.txt"
    split.write_text("# nothing\n")
    with pytest.raises(UserError, match="no scene"):
        read_split(split)
    split.write_text("a\nb\nscannet/a\n")
    with pytest.raises(UserError, match="a more than once"):
        read_split(split)
