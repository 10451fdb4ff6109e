"""One training step and the loop around it, on a tiny room."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_files import assert_gradients_close
from tiny_runs import training, write_rooms

from gpnerf.assembly.training import TrainingRun, build_objective, step_settings
from gpnerf.errors import UserError
from gpnerf.structures import Example, FrameFailure
from gpnerf.tracking import Tracker
from gpnerf.training import Schedule, StepSettings, fit, train_step
from gpnerf.training.step import StepReport

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

CLASSES = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rooms(tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module")
def examples(root: Path) -> list[Example]:
    return [training(root).examples[(0, index)] for index in range(4)]


def spoiled(example: Example) -> Example:
    return replace(example, target=replace(example.target, image=torch.full_like(example.target.image, torch.nan)))


def step(run: TrainingRun, batch: list[Example], **changes: object) -> StepReport:
    settings: StepSettings = replace(step_settings(run.config), **changes)
    return train_step(
        run.state, batch, build_objective(run.config, CLASSES, finetuning=True), settings, run.context, run.device
    )


def fitted(run: TrainingRun, stream: Iterable[Example | FrameFailure], steps: int) -> None:
    fit(
        run.state, lambda start: iter(stream), build_objective(run.config, CLASSES, finetuning=True),
        step_settings(run.config),
        Schedule(total=steps, log_every=1, save_every=10**6, accumulate=1), Tracker(run.folder, enabled=False),
        run.context, run.device, save=lambda: None, validate=lambda: None,
    )  # fmt: skip


def gradients(run: TrainingRun) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in run.state.model.named_parameters() if p.grad is not None}


def weights(run: TrainingRun) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in run.state.model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in before if not torch.equal(before[name], after[name])]


def test_accumulated_targets_give_the_mean_gradient(root: Path, examples: list[Example]) -> None:
    # All pixels, no jitter, no dropout and no insertion: nothing depends on the place of a target in its batch.
    run = training(root, "--det", "--dropout", 0, "--feature_fusion", "none", "--N_rand", 10**6)
    batch = examples[:3]
    together = step(run, batch, jitter=False)
    joint = gradients(run)
    alone = []
    for example in batch:
        fresh = training(root, "--det", "--dropout", 0, "--feature_fusion", "none", "--N_rand", 10**6)
        alone.append((step(fresh, [example]), gradients(fresh)))
    mean = {name: sum(each[name] for _, each in alone) / len(alone) for name in joint}
    assert_gradients_close(joint, mean, 1e-3)
    for name, value in together.terms.items():
        assert value == pytest.approx(np.mean([report.terms[name] for report, _ in alone]), rel=1e-4)


def test_a_step_moves_every_part_of_the_model(root: Path, examples: list[Example]) -> None:
    run = training(root)
    before = weights(run)
    report = step(run, examples[:1])
    assert report.finite
    moved = {name.split(".")[0] for name in changed(before, weights(run))}
    assert moved == {"encoder", "renderer", "fpn", "head"}


@pytest.mark.parametrize("dropout", [0, 0.1])
def test_a_step_depends_on_seed_and_step_only(root: Path, examples: list[Example], dropout: float) -> None:
    def terms(at: int, seed: int) -> dict[str, float]:
        run = training(root, "--dropout", dropout)
        torch.manual_seed(at + seed)  # whatever came before
        run.state.step = at
        return step(run, examples[:1], seed=seed).terms

    assert terms(0, 5) == terms(0, 5)
    assert terms(0, 5) != terms(1, 5)
    assert terms(0, 5) != terms(0, 6)


def test_nan_is_refused_and_named(root: Path, examples: list[Example], caplog: pytest.LogCaptureFixture) -> None:
    run = training(root)
    before = weights(run)
    fitted(run, [spoiled(examples[0]), spoiled(examples[1])], steps=2)
    assert changed(before, weights(run)) == []
    assert not run.state.optimizer.state
    refusals = [record.message for record in caplog.records if "refused" in record.message]
    assert len(refusals) == 2
    assert "step 1 refused" in refusals[0]
    assert "colour_coarse nan" in refusals[0] and "gradient norm nan" in refusals[0]


def test_training_goes_on_after_a_refused_step(root: Path, examples: list[Example]) -> None:
    run = training(root)
    bad, good = spoiled(examples[0]), examples[1]
    fitted(run, [bad, bad, good, bad, bad, good], steps=6)
    assert run.state.step == 6
    assert run.state.optimizer.state
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights(run).values())


def test_three_refused_steps_in_a_row_end_the_run(root: Path, examples: list[Example]) -> None:
    run = training(root)
    with pytest.raises(UserError, match=r"3 steps in a row were not finite, .*colour_fine nan.*clip_grad_norm"):
        fitted(run, [examples[0], *[spoiled(examples[0])] * 9], steps=10)
    assert run.state.step == 4


def test_clipping_bounds_the_gradient_and_reports_its_norm_before(root: Path, examples: list[Example]) -> None:
    free, clipped = training(root), training(root)
    full = step(free, examples[:1])
    limit = full.grad_norm / 10
    report = step(clipped, examples[:1], clip_grad_norm=limit)
    norm = math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients(clipped).values()))
    assert report.grad_norm == full.grad_norm
    assert norm == pytest.approx(limit, rel=1e-3)
    for name, gradient in gradients(free).items():
        torch.testing.assert_close(gradients(clipped)[name], gradient / 10, rtol=1e-3, atol=1e-7)


def test_unreadable_frames_are_skipped_and_counted(
    root: Path, examples: list[Example], caplog: pytest.LogCaptureFixture
) -> None:
    run = training(root)
    bad = FrameFailure("room", 7, "7.jpg: cannot be decoded")
    fitted(run, [bad, examples[0], bad, bad, examples[1], examples[2]], steps=3)
    assert (run.state.step, run.state.consumed) == (3, 6)
    skipped = [record.message for record in caplog.records if "skipped" in record.message]
    assert skipped == [f"skipped ({count} so far): 7.jpg: cannot be decoded" for count in (1, 2, 3)]


def test_too_many_unreadable_frames_end_the_run(root: Path, examples: list[Example]) -> None:
    bad = [FrameFailure("room", number, f"{number}.jpg: cannot be decoded") for number in range(40)]
    with pytest.raises(UserError) as caught:
        fitted(training(root), [examples[0], *bad], steps=3)
    message = str(caught.value)
    assert "6 of 7 examples could not be read" in message and "\n" not in message
    assert all(f"{number}.jpg" in message for number in range(6))


def test_rates_fall_in_steps_and_every_part_has_its_own(root: Path, examples: list[Example]) -> None:
    rates = {"transformer": 1e-3, "encoder": 2e-3, "pyramid": 3e-3, "head": 3e-3}
    run = training(
        root, "--lrate_gnt", 1e-3, "--lrate_feature", 2e-3, "--lrate_semantic", 3e-3,
        "--lrate_decay_steps", 2, "--lrate_decay_factor", 0.6,
    )  # fmt: skip
    for count in range(1, 6):
        step(run, examples[:1])
        run.state.step += 1
        found = {group["name"]: group["lr"] for group in run.state.optimizer.param_groups}
        assert found == pytest.approx({name: rate * 0.6 ** (count // 2) for name, rate in rates.items()})


def test_bf16_stays_near_float32(root: Path, examples: list[Example]) -> None:
    exact, rough = training(root, "--dropout", 0), training(root, "--dropout", 0, "--amp", "bf16")
    precise, report = step(exact, examples[:1]), step(rough, examples[:1])
    assert report.finite
    assert report.terms == pytest.approx(precise.terms, rel=0.1, abs=0.02)
    assert report.terms != precise.terms
    assert {tensor.dtype for tensor in weights(rough).values()} == {torch.float32}


def test_label_pixels_are_counted_by_class(root: Path, examples: list[Example]) -> None:
    run = training(root)
    step(run, examples[:2])
    step(run, examples[2:3])
    labels = np.concatenate([example.target.labels.numpy().ravel() for example in examples[:3]])
    assert run.state.class_counts.tolist() == [int((labels == c).sum()) for c in range(CLASSES)]
    assert 0 < int(run.state.class_counts.sum()) < labels.size  # some pixels have no class


def test_label_rendering_trains_too(root: Path, examples: list[Example]) -> None:
    report = step(training(root, "--semantic_model", "fc", "--depth_loss_scale", 0), examples[:1])
    assert report.finite
    assert set(report.terms) == {"colour_coarse", "colour_fine", "semantic_coarse", "semantic_fine"}


def test_one_example_is_learned(root: Path, examples: list[Example]) -> None:
    run = training(root, "--dropout", 0, "--N_rand", 64, "--lrate_gnt", 5e-3, "--lrate_feature", 5e-3)
    totals = []
    for _ in range(30):
        totals.append(sum(step(run, examples[:1]).terms.values()))
        run.state.step += 1
    assert np.mean(totals[-5:]) < 0.8 * np.mean(totals[:5])
