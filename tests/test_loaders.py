"""Streams: equal for any number of workers, exact on resuming, shared out among ranks."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_scenes import write_label_table, write_scannet

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import EvaluationExamples, TrainingExamples
from gpnerf.data.loaders import EndlessSampler, evaluation_loader, training_loader
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError
from gpnerf.structures import Example, FrameFailure

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    rooms = load_protocol("clean", "rooms", CONFIGS)
    return replace(rooms, num_source_views=3, width=16, height=12)


@pytest.fixture
def scene(tmp_path: Path, protocol: Protocol) -> Scene:
    write_scannet(tmp_path / "data" / "rooms" / "room_0000", frames=14)
    write_label_table(tmp_path / "data" / "rooms")
    return open_scenes(tmp_path, ["room_0000"], protocol, FrameCache(10**6))[0]


def stream(scene: Scene, protocol: Protocol, count: int, **options: int) -> list[Example | FrameFailure]:
    examples = TrainingExamples([scene], protocol, seed=5, rank=options.pop("rank", 0), finetune=False)
    options = {"world_size": 1, "num_workers": 0} | options
    return list(islice(training_loader(examples, **options), count))


def described(item: Example | FrameFailure) -> tuple[object, ...]:
    if isinstance(item, FrameFailure):
        return item.frame, item.message
    return item.frame, item.source_frames, item.sources.images.double().sum().item()


def test_the_stream_is_the_same_for_any_number_of_workers_broken_frames_included(
    scene: Scene, protocol: Protocol
) -> None:
    scene.files.colour.path(3).write_bytes(b"")
    streams = [list(map(described, stream(scene, protocol, 33, num_workers=workers))) for workers in (0, 1, 2)]
    assert streams[0] == streams[1] == streams[2]
    assert any(isinstance(item[1], str) for item in streams[0])


def test_resuming_continues_the_stream(scene: Scene, protocol: Protocol) -> None:
    whole = list(map(described, stream(scene, protocol, 40)))
    for start in (1, 14, 31):
        assert list(map(described, stream(scene, protocol, 5, start_step=start))) == whole[start : start + 5]


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 30))
def test_every_rank_resumes_where_it_stopped(length: int, world: int, start: int) -> None:
    for rank in range(world):
        whole = list(islice(iter(EndlessSampler(length, 1, rank, world, 0)), start + 5))
        assert list(islice(iter(EndlessSampler(length, 1, rank, world, start)), 5)) == whole[start:]


def test_two_loaders_do_not_touch_each_other_nor_the_global_generator(scene: Scene, protocol: Protocol) -> None:
    before = torch.get_rng_state()
    stream(scene, protocol, 3, num_workers=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("length", "world"), [(14, 1), (14, 4), (5, 8)])
def test_ranks_share_out_each_epoch(length: int, world: int) -> None:
    count = 3 * length
    keys = [list(islice(iter(EndlessSampler(length, 0, rank, world, 0)), count)) for rank in range(world)]
    joint = [key for step in zip(*keys, strict=True) for key in step][: 3 * length]
    assert [epoch for epoch, _ in joint] == [epoch for epoch in range(3) for _ in range(length)]
    orders = [[index for epoch, index in joint if epoch == e] for e in range(3)]
    assert all(sorted(order) == list(range(length)) for order in orders)
    assert orders[0] != orders[1]


def test_evaluation_is_shared_out_and_complete(scene: Scene, protocol: Protocol) -> None:
    wide = replace(protocol, evaluation_targets=replace(protocol.evaluation_targets, start=1, step=3, count=None))
    examples = EvaluationExamples(scene, wide)
    shares = [[item.frame for item in evaluation_loader(examples, rank=rank, world_size=2)] for rank in range(2)]
    assert shares == [[1, 7, 13], [4, 10]]


def test_an_error_in_evaluation_is_one_line(scene: Scene, protocol: Protocol) -> None:
    broken = scene.files.colour.path(12)
    broken.write_bytes(b"")
    loader = evaluation_loader(EvaluationExamples(scene, protocol), rank=0, world_size=1)
    assert next(loader).frame == 4
    with pytest.raises(UserError) as caught:
        next(loader)
    assert str(broken) in str(caught.value) and "\n" not in str(caught.value)
