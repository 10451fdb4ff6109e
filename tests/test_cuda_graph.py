"""A step can be captured: it never waits for the GPU, and replaying its capture trains as the step itself does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import CLASSES, example, model, rays_of
from tiny_runs import training, write_rooms
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gpnerf.assembly.training import TrainingRun, build_objective, step_settings
from gpnerf.structures import Compat, Example, Wanted
from gpnerf.training import LossWeights, Objective, train_step
from gpnerf.training.graph import StepGraph, obstacle

pytest_plugins = ["run_fixtures"]


# Makes a tensor of Python numbers: on a GPU a copy from the host.
COPYING = (torch.tensor, torch.as_tensor, torch.from_numpy, Tensor.new_tensor)


class DeviceTensorsOnly(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        # An empty tensor moves nothing (some versions of `checkpoint` make one).
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor) and x.numel()]
        if "check_errors" in str(function) or any(x.device.type != "meta" for x in tensors):
            raise RuntimeError(f"{function} leaves the device")
        return result


class NoCopies(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in COPYING:
            raise RuntimeError(f"{function} copies to the device")
        return function(*args, **(kwargs or {}))


@contextmanager
def on_device_only() -> Iterator[None]:
    """Refuses what makes a processor wait for a GPU or copies to one; tensors of the device "meta" stand for a GPU's.

    Such tensors hold no numbers, so all that depends on them (sizes, branches) fails by itself.
    """
    with NoCopies(), DeviceTensorsOnly():
        yield


def training_objective(compat: Compat = "none") -> Objective:
    return Objective(LossWeights(1.0, 1.0, 1.0, 1.0), CLASSES, 1, "anti", compat)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fine_features": 8},
        {"importance": 0},
        {"detach_reference": False},
        {"compat": "release"},
        {"recompute": True},
    ],
    ids=str,
)
def test_forward_losses_and_backward_never_leave_the_device(changes: dict[str, Any]) -> None:
    given = example()
    rays = rays_of(given).to("meta")
    with torch.device("meta"):
        network = model(**changes).train()
    objective = training_objective(changes.get("compat", "none"))
    on_device = given.to("meta")
    with on_device_only():
        output = network(on_device, rays, guidance=True)
        sum(objective.terms(output, on_device, rays).values(), torch.zeros((), device="meta")).backward()
    assert all(p.grad is not None for p in network.renderer.parameters())


def test_rendering_never_leaves_the_device() -> None:
    given = example()
    rays, on_device = rays_of(given).to("meta"), given.to("meta")
    with torch.device("meta"):
        network = model()
    with torch.no_grad(), on_device_only():
        maps = network.encode_sources(on_device.sources)
        network.renderer(rays, maps, given.near, given.far, Wanted(True))


@pytest.mark.parametrize(
    "leaves",
    [
        lambda x: x.sum().item(),
        lambda x: x.nonzero(),
        lambda x: x.new_tensor([1.0]),
        lambda x: x[x > 0],
        lambda x: torch.linalg.inv(x),
        lambda x: x.cpu(),
    ],
    ids=["item", "nonzero", "copy to the device", "mask", "checked inverse", "copy from the device"],
)
def test_what_leaves_the_device_is_noticed(leaves: Callable[[Tensor], Any]) -> None:
    matrix = torch.eye(3, device="meta")
    with pytest.raises((RuntimeError, NotImplementedError)), on_device_only():
        leaves(matrix)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rooms(tmp_path_factory.mktemp("rooms"))


def recording(run: TrainingRun, replayed: list[int]) -> Callable[..., Any]:
    """Stands for the capture: replaying writes into the recorded tensors, and leaves no gradients at the parameters."""
    parameters = list(run.state.model.parameters())

    def capture(step: Callable[[], dict[str, Tensor]], _: torch.Generator) -> Any:
        state = torch.get_rng_state()
        terms, held = step(), [p.grad for p in parameters]
        torch.set_rng_state(state)

        def replay() -> None:
            replayed.append(1)
            fresh = step()
            for name, value in fresh.items():
                terms[name].copy_(value)
            for old, parameter in zip(held, parameters, strict=True):
                if old is not None and parameter.grad is not None:
                    old.copy_(parameter.grad)
                parameter.grad = None

        return terms, replay

    return capture


def trained(run: TrainingRun, examples: list[Example]) -> tuple[list[dict[str, float]], list[Tensor]]:
    objective = build_objective(run.config, 20, finetuning=True)
    terms = []
    for given in examples:
        terms.append(
            train_step(run.state, [given], objective, step_settings(run.config), run.context, run.device).terms
        )
        run.state.step += 1
    return terms, [p.detach() for p in run.state.model.parameters()]


@pytest.mark.usefixtures("tiny_setting")
def test_replayed_steps_train_as_the_steps_themselves(root: Path) -> None:
    plain, graphed, replayed = training(root), training(root), []
    examples = [plain.examples[(0, index)] for index in range(4)]
    # Of another kind, and done without the capture.
    examples.insert(2, replace(examples[3], target=replace(examples[3].target, labels=None)))
    graphed.state.graph = StepGraph(graphed.device, recording(graphed, replayed))
    expected, found = trained(plain, examples), trained(graphed, examples)
    assert found[0] == expected[0]
    assert all(torch.equal(x, y) for x, y in zip(found[1], expected[1], strict=True))
    assert len(replayed) == 4


@pytest.mark.usefixtures("tiny_setting")
def test_a_failed_capture_is_logged_once_and_changes_nothing(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    plain, graphed = training(root), training(root)
    examples = [plain.examples[(0, index)] for index in range(2)]
    graphed.state.graph = StepGraph(graphed.device, fail)
    assert trained(graphed, examples)[0] == trained(plain, examples)[0]
    said = [message for message in caplog.messages if "cuda_graph" in message]
    assert said == ["--cuda_graph: going on without: operation not permitted when stream is capturing"]


@pytest.mark.usefixtures("tiny_setting")
def test_a_training_that_cannot_be_captured_says_so(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert training(root, "--cuda_graph").state.graph is None
    assert "--cuda_graph: going on without: expected a CUDA device, found cpu" in caplog.messages


@pytest.mark.parametrize(
    ("device", "processes", "accumulated", "recompute", "expected"),
    [
        ("cuda", 1, 1, False, None),
        ("cpu", 1, 1, False, "expected a CUDA device, found cpu"),
        ("cuda", 2, 1, False, "expected one process, found 2"),
        ("cuda", 1, 3, False, "expected one target a step, found accumulate_steps = 3"),
        ("cuda", 1, 1, True, "expected no --recompute"),
    ],
)
def test_what_cannot_be_captured_is_named(
    device: str, processes: int, accumulated: int, recompute: bool, expected: str | None
) -> None:
    assert obstacle(torch.device(device), processes, accumulated, recompute) == expected
