"""Streams: equal for any number of workers, exact on resuming, shared out among ranks, measured."""

import pickle
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_scenes import write_label_table, write_scannet

from gpnerf.data.catalogue import open_scenes
from gpnerf.data.dataset import EvaluationExamples, KeyedExamples, TrainingExamples
from gpnerf.data.loaders import EndlessSampler, evaluation_loader, training_loader
from gpnerf.data.packing import pack, unpack
from gpnerf.data.protocol import Protocol
from gpnerf.data.protocol_file import load_protocol
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.data.throughput import examples_per_second
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
    examples = TrainingExamples([scene], protocol, seed=5, finetune=False)
    options = {"rank": 0, "world_size": 1, "num_workers": 0} | options
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


def test_packing_gives_the_same_object_in_one_block(scene: Scene, protocol: Protocol) -> None:
    [made] = stream(scene, protocol, 1)
    assert isinstance(made, Example)
    packed = pack(made)
    assert packed.block.is_shared() and len(packed.skeleton) < 3000
    again = unpack(packed)
    assert (again.scene, again.frame, again.source_frames, again.near) == (
        made.scene, made.frame, made.source_frames, made.near,
    )  # fmt: skip
    pairs = [
        (getattr(getattr(one, part), name), getattr(getattr(other, part), name))
        for one, other in ((again, made), (again.target, made.target), (again.sources, made.sources))
        for part in ("target", "sources", "camera", "cameras")
        if hasattr(one, part)
        for name in ("image", "images", "depth", "labels", "intrinsics", "cam_to_world")
        if hasattr(getattr(one, part), name)
    ]
    assert len(pairs) == 8
    assert all(one.dtype == other.dtype and torch.equal(one, other) for one, other in pairs)
    failure = FrameFailure("scene", 3, "message")
    assert unpack(pack(failure)) == failure


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int16, torch.float32, torch.float64])
def test_packing_keeps_odd_shapes_and_types(dtype: torch.dtype) -> None:
    numbers = torch.arange(30).reshape(5, 6)
    items = [numbers.to(dtype), numbers.T.to(dtype)[::2], torch.zeros(0, 3).to(dtype), torch.tensor(1).to(dtype)]
    items += [items[0].byte()[:1], torch.ones(1).to(dtype).expand(7)]
    again = unpack(pickle.loads(pickle.dumps(pack(items))))
    assert all(one.dtype == other.dtype and torch.equal(one, other) for one, other in zip(again, items, strict=True))


class Slow(KeyedExamples):
    """Examples that take 0.1 s of the clock `now` until `quick` have been made, then 2 ms."""

    depth_range, now = (0.1, 1.0), 0.0

    def __init__(self, made: Example | FrameFailure, quick: int) -> None:
        super().__init__(0)
        self.made, self.left = made, quick

    def __len__(self) -> int:
        return 4

    def draw(self, index: int, rng: np.random.Generator) -> Example | FrameFailure:
        Slow.now += 0.1 if self.left > 0 else 0.002
        self.left -= 1
        return self.made


def test_throughput_counts_what_comes_after_the_warm_up(
    scene: Scene, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpnerf.data.throughput.time", SimpleNamespace(perf_counter=lambda: Slow.now))
    [made] = stream(scene, protocol, 1)
    assert examples_per_second(Slow(made, 5), seconds=0.3, num_workers=0, warm_up=5) == pytest.approx(500)
    assert examples_per_second(Slow(made, 5), seconds=0.3, num_workers=0) == pytest.approx(10)
    assert examples_per_second(Slow(made, 99), seconds=0.0, num_workers=0) == pytest.approx(10)
    with pytest.raises(UserError, match="no such picture"):
        examples_per_second(Slow(FrameFailure("scene", 0, "no such picture"), 0), seconds=0.1, num_workers=0)


def test_throughput_of_a_worker_is_measured(scene: Scene, protocol: Protocol) -> None:
    examples = TrainingExamples([scene], protocol, seed=0, finetune=False)
    assert examples_per_second(examples, seconds=0.2, num_workers=1, warm_up=3) > 0
