"""Examples: what they hold, what decides them, what must stay out of them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_scenes import write_label_table, write_scannet

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import EvaluationExamples, MixedExamples, TrainingExamples
from gpnerf.data.protocol import FrameRule, Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError
from gpnerf.structures import Example, FrameFailure

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    rooms = load_protocol("clean", "rooms", CONFIGS)
    return replace(rooms, num_source_views=3, width=32, height=24)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    for name in ("room_0000", "room_0001"):
        write_scannet(root / "data" / "rooms" / name, frames=14)
    write_label_table(root / "data" / "rooms")
    return root


@pytest.fixture(scope="module")
def scenes(root: Path, protocol: Protocol) -> list[Scene]:
    return open_scenes(root, ["room_0000", "room_0001"], protocol, FrameCache(10**7))


def example(examples: TrainingExamples | MixedExamples, key: tuple[int, int]) -> Example:
    made = examples[key]
    assert isinstance(made, Example), made
    return made


def test_an_example_holds_the_frames_that_it_names(scenes: list[Scene], protocol: Protocol) -> None:
    made = example(TrainingExamples(scenes, protocol, seed=0, finetune=False), (0, 17))
    scene = scenes[1]
    assert (made.scene, made.frame, made.near, made.far) == ("room_0001", 3, 0.3, 8.0)
    assert torch.equal(made.target.image, scene.image(3))
    assert torch.equal(made.target.camera.cam_to_world, scene.camera(3).cam_to_world)
    truth = {"depth": made.target.depth, "labels": made.target.labels}
    for part, value in truth.items():
        assert value is not None and torch.equal(value, getattr(scene, part)(3))
    for place, number in enumerate(made.source_frames):
        assert torch.equal(made.sources.images[place], scene.image(number))
        assert torch.equal(made.sources.cameras.cam_to_world[place], scene.camera(number).cam_to_world)


def test_only_seed_epoch_and_index_decide_the_sources(scenes: list[Scene], protocol: Protocol) -> None:
    def sources(seed: int = 0, epoch: int = 0) -> list[tuple[int, ...]]:
        examples = TrainingExamples(scenes, protocol, seed=seed, finetune=False)
        return [example(examples, (epoch, index)).source_frames for index in (5, 0, 20)]

    torch.manual_seed(0)
    first = sources()
    torch.manual_seed(1)
    assert sources() == first
    assert len({str(chosen) for chosen in (first, sources(seed=1), sources(epoch=1))}) == 3


def test_generalised_training_takes_every_frame_as_a_target(scenes: list[Scene], protocol: Protocol) -> None:
    examples = TrainingExamples(scenes, protocol, seed=0, finetune=False)
    targets = [(made.scene, made.frame) for index in range(len(examples)) for made in [example(examples, (0, index))]]
    assert sorted(targets) == sorted((scene.name, frame) for scene in scenes for frame in range(14))


@pytest.mark.parametrize("listed", [{"scenes": ("room_0000",)}, {"validation_scenes": ("room_0000",)}])
def test_generalised_training_never_sees_the_targets_of_a_scored_scene(
    scenes: list[Scene], protocol: Protocol, listed: dict[str, tuple[str, ...]]
) -> None:
    scored, held_out = replace(protocol, **listed), {4, 12}
    made = [
        example(examples, (epoch, index))
        for examples in [TrainingExamples(scenes, scored, seed=0, finetune=False)]
        for epoch in range(4)
        for index in range(len(examples))
    ]
    targets = {scene.name: {one.frame for one in made if one.scene == scene.name} for scene in scenes}
    assert targets == {"room_0000": set(range(14)) - held_out, "room_0001": set(range(14))}
    sources = {name: {f for one in made if one.scene == name for f in one.source_frames} for name in targets}
    assert not sources["room_0000"] & held_out and held_out <= sources["room_0001"]
    released = replace(scored, exclude_evaluation_targets=False)
    assert len(TrainingExamples(scenes, released, seed=0, finetune=False)) == 28


def test_only_the_scored_sequence_of_a_replica_scene_holds_frames_back(scenes: list[Scene], protocol: Protocol) -> None:
    for listed in ("office_4", "office_4/Sequence_1"):
        scored = replace(protocol, scenes=(listed,))
        both = [replace(scenes[0], name=name) for name in ("office_4", "office_4/Sequence_2")]
        assert [scored.held_out(scene, finetune=False) for scene in both] == [[4, 12], []]


def test_fine_tuning_never_sees_an_evaluation_target(scenes: list[Scene], protocol: Protocol) -> None:
    examples = TrainingExamples(scenes[:1], protocol, seed=0, finetune=True)
    held_out = {4, 12}
    made = [example(examples, (epoch, index)) for epoch in range(4) for index in range(len(examples))]
    assert {one.frame for one in made} == set(range(14)) - held_out
    assert not held_out & {frame for one in made for frame in one.source_frames}
    assert all(abs(frame - one.frame) >= 2 for one in made for frame in one.source_frames)


def test_the_kind_of_run_decides_the_depth_range(scenes: list[Scene], protocol: Protocol) -> None:
    ranges = replace(protocol.depth_ranges, evaluation=(1.0, 2.0), training=(3.0, 4.0), finetuning=(5.0, 6.0))
    changed = replace(protocol, depth_ranges=ranges)
    trained = example(TrainingExamples(scenes, changed, seed=0, finetune=False), (0, 0))
    finetuned = example(TrainingExamples(scenes, changed, seed=0, finetune=True), (0, 0))
    evaluated = EvaluationExamples(scenes[0], changed)[0]
    assert [(one.near, one.far) for one in (evaluated, trained, finetuned)] == [(1, 2), (3, 4), (5, 6)]


def test_evaluation_examples_are_the_protocols(scenes: list[Scene], protocol: Protocol) -> None:
    examples = EvaluationExamples(scenes[0], protocol)
    assert [examples[place].frame for place in range(len(examples))] == [4, 12]
    assert list(examples[1].source_frames) == protocol.evaluation_sources(scenes[0], 1)


def test_an_unreadable_frame_is_a_failure_in_training_and_an_error_in_evaluation(
    tmp_path: Path, protocol: Protocol
) -> None:
    folder = write_scannet(tmp_path / "data" / "rooms" / "room_0000", frames=14)
    write_label_table(folder.parent)
    broken = folder / "color" / "4.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    scenes = open_scenes(tmp_path, ["room_0000"], protocol, FrameCache(10**7))
    examples = TrainingExamples(scenes, protocol, seed=0, finetune=False)
    failure = examples[0, 4]
    assert isinstance(failure, FrameFailure)
    assert (failure.scene, failure.frame) == ("room_0000", 4) and str(broken) in failure.message
    # Other targets fail only when they drew the broken frame as a source; the message then names it.
    others = [examples[0, index] for index in range(14) if index != 4]
    assert any(isinstance(one, Example) for one in others)
    assert all(str(broken) in one.message for one in others if isinstance(one, FrameFailure))
    with pytest.raises(UserError, match=r"4\.jpg"):
        EvaluationExamples(scenes[0], protocol)[0]


def test_too_few_frames_stop_training_before_it_starts(scenes: list[Scene], protocol: Protocol) -> None:
    greedy = replace(protocol, num_source_views=12)
    with pytest.raises(UserError, match=r"room_0000: expected 12 source views.*lower --num_source_views"):
        TrainingExamples(scenes, greedy, seed=0, finetune=False)
    nothing_left = replace(protocol, finetuning_targets=FrameRule(start=4, stop=13, step=8))
    with pytest.raises(UserError, match="frames to train on"):
        TrainingExamples(scenes, nothing_left, seed=0, finetune=True)


def test_mixture_follows_the_weights_whatever_the_sizes(scenes: list[Scene], protocol: Protocol) -> None:
    one = TrainingExamples(scenes[:1], protocol, seed=3, finetune=False)
    other = TrainingExamples(scenes[1:], replace(protocol, num_source_views=2), seed=3, finetune=False)
    mixed = MixedExamples([one, other], [3.0, 1.0])
    made = [example(mixed, (0, index)) for index in range(400)]
    share = Counter(len(sample.source_frames) for sample in made)[3] / len(made)
    assert share == pytest.approx(0.75, abs=3 * np.sqrt(0.75 * 0.25 / 400))
    assert {sample.frame for sample in made} == set(range(14))
    assert example(mixed, (0, 7)).source_frames == made[7].source_frames
    only = MixedExamples([one, other], [0.0, 2.0])
    assert {len(example(only, (0, index)).source_frames) for index in range(30)} == {2}


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0]])
def test_faulty_weights(scenes: list[Scene], protocol: Protocol, weights: list[float]) -> None:
    part = TrainingExamples(scenes, protocol, seed=0, finetune=False)
    with pytest.raises(UserError, match="--dataset_weights"):
        MixedExamples([part, part], weights)
