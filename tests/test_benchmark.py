"""The benchmark: fair pairs, true memory, counted work, and one run from the command line."""

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import tiny_model
import torch
from tiny_runs import REPOSITORY, TRAINING_SCENE, write_rooms

from gpnerf.benchmark.memory import peak_bytes
from gpnerf.benchmark.render import WITH, WITHOUT, composed_images
from gpnerf.benchmark.scene import room_example, visibility
from gpnerf.benchmark.timing import Job, Laps, Result, Task, measure, runs
from gpnerf.benchmark.workload import Network, counted_multiply_adds, folded, least, multiply_adds
from gpnerf.errors import UserError
from gpnerf.structures import Wanted

CPU = torch.device("cpu")
TINY = {
    "size": "40 32", "views": 2, "depth": 1, "width": 8, "rays": 96, "chunk_size": 64, "repeats": 2, "device": "cpu",
    "encoder_width": 4, "encoder_blocks": "1 1 1", "head_width": 64, "N_samples": 6, "N_importance": 3, "n_p": 1,
}  # fmt: skip
PAIRS = {
    "encoding", "encoding, fast", "head", "rays, fast", "rays with semantics", "rays without semantics",
    "image, fast", "image", "step", "step, semantic losses", "step, colour only", "step, what weights of 0 leave",
}  # fmt: skip


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_script", REPOSITORY / "scripts/benchmark.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    tiny = [word for name, value in TINY.items() for word in (f"--{name}", *str(value).split())]

    def call(*flags: object) -> None:
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *tiny, *map(str, flags)])
        script.main()

    return call


def test_pairs_alternate_and_their_order_too() -> None:
    called: list[str] = []
    job = Job("pair", (Task("a", lambda: called.append("a")), Task("b", lambda: called.append("b"))))
    ticks: list[str] = []
    result = measure([job], 4, CPU, ticks.append)["pair"]
    rounds = ["".join(called[n : n + 2]) for n in range(0, len(called), 2)]
    assert rounds[1:] == ["ab", "ba", "ab", "ba"]  # the first round warms up
    assert all(len(laps.wall) == len(laps.cpu) == 4 for laps in result.laps.values())
    assert len(ticks) == len(called) == runs([job], 4)


def test_wall_and_processor_seconds_are_told_apart() -> None:
    def work() -> None:
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass

    result = measure([Job("pair", (Task("sleep", lambda: time.sleep(0.05)), Task("work", work)))], 3, CPU, str)["pair"]
    assert min(result.laps["sleep"].wall) >= 0.05  # however busy the machine is
    assert result.ratio("cpu") < 0.5
    content = json.loads(json.dumps(result.to_dict()))
    assert len(content["ratio"]["wall"]["rounds"]) == 3
    assert content["runs"]["work"]["cpu"]["median"] >= 0.02


@pytest.mark.parametrize("numbers", [10**5, 3 * 10**6])
def test_peak_memory_sees_what_lives_at_once(numbers: int) -> None:
    kept = []

    def one_after_the_other() -> None:
        for _ in range(3):
            torch.ones(numbers).sum()

    def together() -> None:
        kept.extend(torch.ones(numbers) for _ in range(3))

    def inside_an_operation() -> None:
        torch.ones(numbers).requires_grad_().exp().square().sum().backward()

    assert peak_bytes(one_after_the_other, CPU) == pytest.approx(4 * numbers, rel=0.01)
    assert peak_bytes(together, CPU) == pytest.approx(12 * numbers, rel=0.01)
    # The input, its exponential and square, then gradients of two of the three at a time.
    assert 12 * numbers <= peak_bytes(inside_an_operation, CPU) <= 24 * numbers
    assert peak_bytes(kept.clear, CPU) == 0


@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("semantics", [True, False])
def test_counted_work_bounds_what_the_fast_path_does(width: int, semantics: bool) -> None:
    example = tiny_model.example(views=3)
    model = tiny_model.model(netwidth=width, trans_depth=3)
    network = Network(width, 3, 8 + 3, 8 * width, samples=6, importance=3, views=3, shared=True)
    with torch.no_grad():
        maps = model.encode_sources(example.sources)
    few, many = (tiny_model.rays_of(example, count) for count in (20, 60))
    counts = [
        counted_multiply_adds(
            lambda rays=rays: model.renderer(rays, maps, example.near, example.far, Wanted(semantics))
        )
        for rays in (few, many)
    ]
    a_ray = (counts[1] - counts[0]) / 40  # without what is computed once a chunk
    upper = multiply_adds(folded(network, semantics), matrix_only=True)
    lower = multiply_adds(least(network, semantics, visibility(example, many, 6, True)["needed"]), matrix_only=True)
    assert lower <= a_ray <= 1.001 * upper
    assert upper < 2 * lower


def test_work_grows_with_what_it_is_made_of() -> None:
    base = Network(width=64, depth=8, colour=35, semantic=512, samples=48, importance=16, views=6, shared=True)
    for name in ("width", "depth", "samples", "importance", "views"):
        larger = replace(base, **{name: 2 * getattr(base, name)})
        for count in (folded, least):
            assert multiply_adds(count(larger, True)) > multiply_adds(count(base, True))
    one_pass = replace(base, importance=0)
    assert multiply_adds(least(one_pass, True)) < multiply_adds(folded(one_pass, True))


def test_image_is_composed_of_its_pieces() -> None:
    def result(first: str, a: float, second: str, b: float) -> Result:
        return Result({name: Laps([s] * 3, [s] * 3) for name, s in ((first, a), (second, b))})

    results = {
        "encoding": result("plain", 4.0, "fast", 3.0),
        "encoding, fast": result(WITH, 3.0, WITHOUT, 1.0),
        "head": result("plain", 2.0, "fast", 0.5),
        "rays, fast": result(WITH, 20.0, WITHOUT, 10.0),
        f"rays {WITH}": result("plain", 70.0, "fast", 20.0),
        f"rays {WITHOUT}": result("plain", 40.0, "fast", 10.0),
    }
    image = composed_images(results, "wall", rays=10, image_rays=(25, 75))
    assert image["ratio"]["with over without semantics, rays"] == pytest.approx(1.25)
    assert image["seconds"]["fast"] == pytest.approx(25 * 2 + 75 * 1 + 3.5)
    assert image["seconds"]["fast without semantics"] == pytest.approx(100 + 1)
    assert image["seconds"]["plain"] == pytest.approx(100 * 7 + 6), "plain carries semantics along every ray"
    assert sum(image["split"].values()) == pytest.approx(image["seconds"]["fast"])


def test_scene_is_seen_by_its_sources() -> None:
    example = room_example(height=32, width=40, views=4, classes=5, near=0.3, far=8.0)
    assert example.sources.images.shape == (4, 3, 32, 40)
    assert example.sources.images.min() >= 0 and example.sources.images.max() <= 1
    assert example.sources.images.std() > 0.1
    assert example.target.labels is not None and example.target.labels.max() <= 5
    share = visibility(example, tiny_model.rays_of(example, 100), samples=8, inverse=True)
    assert 0.3 < share["visible"] <= share["needed"] <= 1
    with pytest.raises(UserError, match="--views"):
        room_example(height=32, width=40, views=40, classes=5, near=0.3, far=8.0)


def test_command_line_end_to_end(run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--output", tmp_path / "result.json", "--full_image")
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["machine"]["threads"] == 1 and content["setting"]["size"] == [40, 32]
    assert content["setting"]["clock"] == "cpu" and content["setting"]["rays"] == 96
    assert content["times"].keys() >= PAIRS
    for name in PAIRS:
        pair = content["times"][name]
        assert all(len(laps["wall"]["seconds"]) == 2 for laps in pair["runs"].values())
        assert pair["ratio"]["cpu"]["median"] > 0
    assert all(error["share_above_1e-4"] <= 0.1 for error in content["agreement"].values())
    memory = content["memory"]
    assert memory["rays with semantics, plain"] > memory["rays with semantics, fast"] > 0
    assert memory["step, plain, all losses"] > memory["step, fast, colour only"]
    assert all(share > 0 for share in content["workload"]["rays with semantics"]["achieved_share"].values())
    assert content["image"]["pixels"] == {"with semantics": 320, "without semantics": 960}
    printed = capsys.readouterr().out
    assert all(name in printed for name in PAIRS)


def test_loader_is_measured_on_data_on_disk(
    run: Callable[..., None], script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "_LOADER_SECONDS", 0.05)
    here = ("--rootdir", write_rooms(tmp_path), "--train_scenes", TRAINING_SCENE, "--num_workers", 0)
    run("--parts", "loader", "--output", tmp_path / "result.json", *here)
    rates = json.loads((tmp_path / "result.json").read_text())["loader"]
    assert min(rates["examples a second, cached"], rates["examples a second, reading"]) > 0


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--parts", "render,stp"], "--parts"),
        (["--repeats", "0"], "--repeats"),
        (["--threads", "0"], "--threads"),
        (["--rays", "2000"], "--rays"),
        (["--views", "50"], "--views"),
        (["--output", "nowhere/at/all.json"], "--output"),
        (["--semantic_model", "fc"], "semantic_model"),
        (["--nonsense", "1"], "nonsense"),
    ],
)
def test_bad_input_is_one_line(run: Callable[..., None], flags: list[str], named: str) -> None:
    with pytest.raises(UserError, match=named) as error:
        run(*flags)
    assert "\n" not in str(error.value)
