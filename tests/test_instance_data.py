"""Instances of examples: channels that stay, ids of any width, frames without, and what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_scenes import write_label_table, write_replica, write_scannet

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import EvaluationExamples, TrainingExamples
from gpnerf.data.instances import NO_INSTANCE, InstanceMap
from gpnerf.data.protocol import FrameRule, Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError
from gpnerf.structures import Example

CONFIGS = Path(__file__).parent.parent / "configs"
FRAMES, HEIGHT, WIDTH = 14, 24, 32
HELD_OUT = 4  # an evaluation target of the rooms protocol, hence no training frame


def protocol_of(dataset: str, kind: str = "clean") -> Protocol:
    rules = load_protocol(kind, dataset, CONFIGS)
    targets = {"evaluation_targets": FrameRule(4, None, 8)} if dataset != "rooms" else {}
    return replace(rules, num_source_views=3, height=HEIGHT, width=WIDTH, **targets)


def write_ids(folder: Path, number: int, ids: np.ndarray, prefix: str = "") -> None:
    iio.imwrite(folder / f"{prefix}{number}.png", ids)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A room whose frames all show the ids 0 (none), 3 and 200, and one of them 7 as well."""
    room = write_scannet(tmp_path / "data" / "rooms" / "room_0000", FRAMES, HEIGHT, WIDTH)
    write_label_table(room.parent)
    generator = np.random.default_rng(0)
    for number in range(FRAMES):
        write_ids(room / "instance-filt", number, generator.choice([0, 3, 200], (HEIGHT, WIDTH)).astype(np.uint8))
    once = iio.imread(room / "instance-filt" / "9.png")
    once[:5, :5] = 7
    write_ids(room / "instance-filt", 9, once)
    return room


def opened(folder: Path, dataset: str = "rooms") -> Scene:
    rules = protocol_of(dataset)
    [scene] = open_scenes(folder.parents[2], [folder.name], rules, FrameCache(10**7))
    return scene.with_instances(rules.finetuning_indices(scene), NO_INSTANCE[dataset])


def read(folder: Path, number: int) -> np.ndarray:
    return iio.imread(folder / "instance-filt" / f"{number}.png")


def test_the_same_object_is_the_same_channel_in_every_frame(folder: Path) -> None:
    scene = opened(folder)
    assert scene.instance_map is not None and scene.instance_map.ids == (3, 7, 200)
    for number in range(FRAMES):
        channels, raw = scene.channels(number).numpy(), read(folder, number)
        for channel, raw_id in ((-1, 0), (0, 3), (1, 7), (2, 200)):
            assert np.array_equal(channels == channel, raw == raw_id)
        back = scene.instance_map.to_raw(torch.from_numpy(channels).clamp(min=0)).numpy()
        assert np.array_equal(back[channels >= 0], raw[channels >= 0])


def test_examples_hold_channels_only_when_they_are_wanted(folder: Path) -> None:
    scene, rules = opened(folder), protocol_of("rooms")
    evaluated = EvaluationExamples(scene, rules)[0]
    assert torch.equal(evaluated.target.instances, scene.channels(evaluated.frame))
    trained = TrainingExamples([scene], rules, seed=0, finetune=True)[(0, 0)]
    assert isinstance(trained, Example) and torch.equal(trained.target.instances, scene.channels(trained.frame))
    assert EvaluationExamples(replace(scene, instance_map=None), rules)[0].target.instances is None


def test_an_instance_that_only_evaluation_shows_is_kept_beyond_the_channels(folder: Path) -> None:
    unseen = read(folder, HELD_OUT)
    unseen[:6, :6], unseen[6:9, :6] = 50, 250
    write_ids(folder / "instance-filt", HELD_OUT, unseen)
    scene = opened(folder)
    assert scene.instance_map.ids == (3, 7, 200)
    channels = scene.channels(HELD_OUT).numpy()
    for raw_id in (50, 250):
        [number] = set(channels[unseen == raw_id].tolist())
        assert number >= 3 and ((channels == number) == (unseen == raw_id)).all()


def test_frames_without_instances_or_without_the_file(folder: Path) -> None:
    write_ids(folder / "instance-filt", 2, np.zeros((HEIGHT, WIDTH), np.uint8))
    (folder / "instance-filt" / "3.png").unlink()
    scene = opened(folder)
    assert scene.instance_map.ids == (3, 7, 200)
    assert set(scene.channels(2).flatten().tolist()) == {-1}
    assert scene.channels(3) is None


def test_more_than_255_instances_of_16_bits(folder: Path) -> None:
    many = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 80).astype(np.uint16)
    write_ids(folder / "instance-filt", 5, many)
    scene = opened(folder)
    assert len(scene.instance_map.ids) > 255 and scene.instance_map.ids[-1] == int(many.max())
    channels = scene.channels(5)
    assert np.array_equal(scene.instance_map.to_raw(channels.clamp(min=0)).numpy()[many > 0], many[many > 0])


def test_the_id_that_result_files_reserve_is_refused(folder: Path) -> None:
    write_ids(folder / "instance-filt", 5, np.full((HEIGHT, WIDTH), 65535, np.uint16))
    with pytest.raises(UserError, match="room_0000: expected instance ids up to 65534, found 65535"):
        opened(folder)


def test_a_scene_without_instances_is_refused(folder: Path) -> None:
    for number in range(FRAMES):
        write_ids(folder / "instance-filt", number, np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(UserError, match=r"room_0000: expected instances .* found none but id 0 in 12 of them"):
        opened(folder)
    shutil.rmtree(folder / "instance-filt")
    with pytest.raises(UserError, match="found no instance file of any; add them, or take --task semantic"):
        opened(folder)


@pytest.mark.parametrize(
    ("dataset", "place"), [("replica", "Replica/office_0/Sequence_1"), ("replica_dm", "Replica_DM/office_0")]
)
def test_replica_layouts(tmp_path: Path, dataset: str, place: str) -> None:
    sequence = write_replica(tmp_path / "data" / place, FRAMES, HEIGHT, WIDTH)
    if dataset == "replica_dm":
        shutil.rmtree(sequence / "semantic_class")
    rules = protocol_of(dataset)
    [scene] = open_scenes(tmp_path, ["office_0"], rules, FrameCache(10**7))
    frames = rules.finetuning_indices(scene)
    scene = scene.with_instances(frames, NO_INSTANCE[dataset])
    files = [iio.imread(sequence / "semantic_instance" / f"semantic_instance_{n}.png") for n in range(FRAMES)]
    expected = {int(raw) for frame in frames for raw in np.unique(files[frame])}
    assert 0 in expected
    # In DM-NeRF's preparation 0 is an instance like any other.
    assert scene.instance_map.ids == tuple(sorted(expected - ({0} if dataset == "replica" else set())))
    assert bool((scene.channels(2) < 0).any()) == (dataset == "replica")
    assert scene.has_labels == (dataset == "replica")


def test_replica_dm_targets_are_those_of_the_paper_and_clean_ones_are_not_trained_on() -> None:
    released = load_protocol("release", "replica_dm", CONFIGS)
    for frames in (900, 1200, 650):
        numbers = list(range(frames))
        rule, trained = released.evaluation_targets, released.finetuning_targets
        assert numbers[rule.start : rule.stop : rule.step] == numbers[:900:20][30:]
        assert numbers[trained.start : trained.stop : trained.step] == numbers[:900:2]
    assert (
        not released.exclude_evaluation_targets
        and load_protocol("clean", "replica_dm", CONFIGS).exclude_evaluation_targets
    )


def test_ids_need_not_be_dense_and_none_may_not_exist() -> None:
    every = InstanceMap((0, 4, 9), None)
    assert every.to_channels(torch.tensor([[0, 4, 9, 5]])).tolist() == [[0, 1, 2, 8]]
    assert InstanceMap((4, 9), 0).to_channels(torch.tensor([[0, 4, 9]])).tolist() == [[-1, 0, 1]]
    assert every.names == ("instance 0", "instance 4", "instance 9")
