"""N processes with one target each do what one process does that accumulates N targets."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from exchange import CASES, TASKS, refusal, steps, unlabelled
from golden_files import assert_gradients_close
from launched import launch
from tiny_runs import training, write_rooms

from gpnerf.assembly.training import TrainingRun, step_settings
from gpnerf.distributed import Context
from gpnerf.ownership import owned
from gpnerf.training import train_step

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rooms(tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module", params=[2, 3])
def processes(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def group(root: Path, processes: int) -> dict[str, Any]:
    """What a group of real processes found for every case."""
    written = root / f"{processes}.pth"
    with owned(root / "out/taken"):
        code, output = launch(processes, "tests/exchange.py", [str(root), str(written)], root / f"{processes}.log")
    assert code == 0, output[-3000:]
    return torch.load(written, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_processes_together_do_what_one_does_alone(root: Path, group: dict, processes: int, name: str) -> None:
    alone, together = steps(root, name, processes, Context()), group[name]
    assert_gradients_close(together["gradients"], alone["gradients"], 1e-4)
    if CASES[name][2] == "adam" and processes > 2:
        return  # thirds round
    for parameter, value in alone["parameters"].items():
        torch.testing.assert_close(together["parameters"][parameter], value, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_all_processes_end_where_another_program_owns_the_folder(group: dict, processes: int) -> None:
    assert len(group["locked out"]) == processes
    assert all("out/taken: expected" in said and f"process {os.getpid()} on " in said for said in group["locked out"])


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_what_is_not_finite_in_one_process_is_refused_in_all_and_named(group: dict, processes: int, task: str) -> None:
    assert len(group["refusals"][task]) == processes
    for said in group["refusals"][task]:
        assert said.startswith("step 4, kept True: 3 steps in a row were not finite"), said
        named = "instance nan" if task != "semantic" else "semantic nan"
        assert named in said and f" in process {processes - 1}, gradient norm" in said


@pytest.mark.parametrize("task", TASKS)
def test_what_is_not_finite_is_refused_and_named_by_a_process_alone(root: Path, task: str) -> None:
    (said,) = refusal(root, task, Context())
    assert said.startswith("step 4, kept True: 3 steps in a row were not finite"), said
    assert ("instance nan" if task != "semantic" else "semantic nan") in said and "in process" not in said


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("insertion", ["insert", "none"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("semantic", [0, 1])
@pytest.mark.parametrize("distillation", [0, 1])
def test_what_trains_has_a_gradient_for_every_target_and_nothing_else_could_have(
    root: Path, labels: bool, insertion: str, detach: bool, semantic: int, distillation: int
) -> None:
    more = ("--semantic_loss_scale", semantic, "--distill_loss_scale", distillation, "--detach_reference", detach)
    run = training(root, "--expname", "gradients", "--no_reload", "--feature_fusion", insertion, *more)
    assert_trained(run, labels)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("semantic", [0, 1])
@pytest.mark.parametrize("single", [True, False])
def test_label_rendering_has_a_gradient_for_every_target(root: Path, labels: bool, semantic: int, single: bool) -> None:
    more = ("--semantic_model", "fc", "--semantic_loss_scale", semantic, "--single_net", single)
    assert_trained(training(root, "--expname", "gradients", "--no_reload", *more), labels)


def assert_trained(run: TrainingRun, labels: bool) -> None:
    """What is in training has a gradient; what is frozen would have none, with labels, if it were not."""
    example = run.examples[(0, 0)] if labels else unlabelled(run.examples[(0, 0)])
    parameters = dict(run.state.model.named_parameters())
    trained = {name for name, parameter in parameters.items() if parameter.requires_grad}
    run.state.model.requires_grad_(True)
    train_step(run.state, [example], run.objective, step_settings(run.config), run.context, run.device)
    moved = {name for name, p in parameters.items() if p.grad is not None and bool(p.grad.any())}
    assert trained <= {name for name, parameter in parameters.items() if parameter.grad is not None}
    assert moved <= trained
    if labels:  # some have a gradient of exactly 0 here, as biases before a normalisation
        assert {name.split(".")[0] for name in moved} == {name.split(".")[0] for name in trained}
