"""The loss terms against loops written out, numbers by hand and finite differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gpnerf.errors import UserError
from gpnerf.geometry import cosine
from gpnerf.losses import (
    colour_loss,
    depth_guided_loss,
    depth_guided_window,
    depth_loss,
    distillation_loss,
    segmentation_loss,
)

pytestmark = pytest.mark.usefixtures("float64")


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- segmentation ---


def test_segmentation_loss_is_the_mean_of_minus_log_softmax() -> None:
    logits, labels, ignore = random(4, 3, 5), torch.arange(15).reshape(3, 5) % 4, 3
    terms = []
    for row in range(3):
        for column in range(5):
            label = int(labels[row, column])
            if label != ignore:
                scores = logits[:, row, column].tolist()
                terms.append(math.log(sum(math.exp(s) for s in scores)) - scores[label])
    expected = pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert float(segmentation_loss(logits, labels, ignore)) == expected
    assert float(segmentation_loss(logits.flatten(1).T, labels.flatten(), ignore)) == expected


def test_segmentation_loss_without_labels_is_zero_and_moves_nothing() -> None:
    logits = random(4, 3, 5).requires_grad_()
    loss = segmentation_loss(logits, torch.full((3, 5), 3), ignore=3)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


# --- distillation ---


def test_distillation_loss_measures_the_angle_only() -> None:
    rendered = random(7, 5)
    assert float(distillation_loss(rendered, 3 * rendered)) == pytest.approx(0, abs=1e-6)
    assert float(distillation_loss(-2 * rendered, rendered)) == pytest.approx(2, abs=1e-6)
    right, up = torch.eye(2)[:1], torch.eye(2)[1:]
    assert float(distillation_loss(right, up)) == 1
    assert float(distillation_loss(right, right + up)) == pytest.approx(1 - math.sqrt(0.5), abs=1e-6)


def test_losses_send_no_gradient_to_their_targets() -> None:
    rendered, reference, guidance = random(3, 4), random(3, 4, seed=1), random(3, 6)
    weights = random(3, 6).softmax(-1)
    for tensor in (rendered, reference, guidance, weights):
        tensor.requires_grad_()
    (distillation_loss(rendered, reference) + depth_guided_loss(guidance, weights, n_p=1)).backward()
    assert reference.grad is None and weights.grad is None
    assert rendered.grad.abs().sum() > 0 and guidance.grad.abs().sum() > 0


# --- depth-guided window and loss ---


@settings(deadline=None)
@given(samples=st.integers(1, 40), n_p=st.integers(0, 6), data=st.data())
def test_window_is_whole_and_as_near_the_peak_as_the_ray_allows(samples: int, n_p: int, data: st.DataObject) -> None:
    samples += 2 * n_p
    peak = data.draw(st.integers(0, samples - 1))
    inside = torch.nonzero(depth_guided_window(torch.eye(samples)[peak : peak + 1], n_p)[0]).flatten().tolist()
    assert inside == list(range(inside[0], inside[0] + 2 * n_p + 1))
    assert peak in inside
    if n_p <= peak < samples - n_p:
        assert inside[n_p] == peak


def test_window_longer_than_the_ray_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"--n_p 2 needs at least 5 samples a ray, found 4; .*N_samples") as caught:
        depth_guided_window(torch.ones(3, 4), n_p=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("negative", ["anti", "none"])
def test_depth_guided_loss_is_the_loop_over_rays_and_samples(negative: str) -> None:
    rays, samples, n_p = 6, 9, 2
    field, reference, weights = random(rays, samples, 5), random(rays, 5, seed=1), random(rays, samples, seed=2)
    total = 0.0
    for r in range(rays):
        heaviest = max(range(samples), key=lambda j, r=r: float(weights[r, j]))
        centre = min(max(heaviest, n_p), samples - 1 - n_p)
        for j in range(samples):
            alike = float(torch.cosine_similarity(field[r, j], reference[r], dim=0))
            if abs(j - centre) <= n_p:
                total += 1 - alike
            elif negative == "anti":
                total += max(0.0, alike)
    loss = depth_guided_loss(cosine(field, reference[:, None]), weights, n_p, negative)
    assert float(loss) == pytest.approx(total / (rays * samples), rel=1e-5)


# --- depth ---


def test_depth_loss_is_smooth_l1_of_normalised_inverse_depth() -> None:
    near, far = 0.5, 8.0
    # By hand: n(0.5) = 0, n(1) = (2 - 1) / (2 - 0.125) = 8/15, n(8) = 1, with clamping beyond.
    cases = [(1.0, 1.0, 0.0), (1.0, 0.5, 8 / 15 - 0.025), (8.0, 1.0, 7 / 15 - 0.025), (20.0, 8.0, 0.0), (0.2, 0.5, 0.0)]
    for predicted, truth, expected in cases:
        loss = depth_loss(torch.tensor([predicted]), torch.tensor([truth]), near, far)
        assert float(loss) == pytest.approx(expected, abs=1e-6)
    close = depth_loss(torch.tensor([1.01]), torch.tensor([1.0]), near, far)
    step = (1 - 1 / 1.01) / 1.875
    assert float(close) == pytest.approx(step**2 / (2 * 0.05), rel=1e-3)


def test_depth_loss_averages_over_rays_with_depth() -> None:
    predicted = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    truth = torch.tensor([1.5, 0.0, 2.0, float("nan")])
    loss = depth_loss(predicted, truth, 0.1, 10.0)
    known = torch.tensor([0, 2])
    assert float(loss.detach()) == pytest.approx(float(depth_loss(predicted[known], truth[known], 0.1, 10.0).detach()))
    loss.backward()
    assert predicted.grad[[1, 3]].tolist() == [0, 0] and bool((predicted.grad[known] != 0).all())


def test_depth_loss_without_depth_is_zero_and_moves_nothing() -> None:
    predicted = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = depth_loss(predicted, torch.zeros(2), 0.1, 10.0)
    loss.backward()
    assert float(loss.detach()) == 0 and predicted.grad.tolist() == [0, 0]


# --- gradients ---


def test_gradients_agree_with_finite_differences() -> None:
    double = torch.float64
    rendered, reference = random(4, 3, dtype=double), random(4, 3, seed=1, dtype=double)
    field, weights = random(4, 6, 3, dtype=double), random(4, 6, seed=2, dtype=double)
    depth, true_depth = 1 + random(6, dtype=double).abs(), 1 + random(6, seed=3, dtype=double).abs()
    true_depth[2] = 0
    terms = [
        (lambda x: colour_loss(x, reference), rendered),
        (lambda x: segmentation_loss(x, torch.tensor([0, 2, 1, 0]), 2), rendered),
        (lambda x: distillation_loss(x, reference), rendered),
        (lambda x: depth_guided_loss(cosine(x, reference[:, None]), weights, 1), field),
        (lambda x: depth_loss(x, true_depth, 0.1, 10.0), depth),
    ]
    for term, x in terms:
        assert torch.autograd.gradcheck(term, x.requires_grad_())


VALUES = st.sampled_from([0.0, -0.0, 1e-20, -1e-10, 1e-6, 0.5, -1.0, 30.0, -1e6])


@settings(deadline=None)
@given(st.lists(VALUES, min_size=12, max_size=12), st.lists(VALUES, min_size=3, max_size=3))
def test_losses_and_gradients_stay_finite(values: list[float], reference_values: list[float]) -> None:
    x = torch.tensor(values, requires_grad=True)
    reference = torch.tensor(reference_values)
    field = x.reshape(1, 4, 3)
    weights, guidance = field[..., 0], cosine(field, reference)
    losses = [
        distillation_loss(x.reshape(4, 3), reference.expand(4, 3)),
        depth_guided_loss(guidance, weights, 1, "anti"),
        depth_guided_loss(guidance, weights, 1, "none"),
        depth_guided_loss(guidance, weights, 1, compat="release"),
        depth_loss(x, reference.repeat(4), 0.1, 10.0),
        segmentation_loss(x.reshape(4, 3), torch.tensor([0, 1, 2, 2]), 2),
    ]
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss, x, retain_graph=True)
        assert bool(torch.isfinite(loss)) and bool(torch.isfinite(gradient).all())


def test_cosine_terms_keep_their_precision_under_autocast() -> None:
    rendered, reference = random(8, 64), random(8, 64, seed=1)
    field, weights = random(8, 6, 64, seed=2), random(8, 6, seed=3)

    def loss() -> Tensor:
        guidance = cosine(field, reference[:, None])
        return distillation_loss(rendered, reference) + depth_guided_loss(guidance, weights, 1)

    plain = loss()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss()
    assert float(cast) == float(plain)
    assert cosine(field.bfloat16(), reference[:, None].bfloat16()).dtype == torch.float32
    assert distillation_loss(rendered.bfloat16(), reference.bfloat16()).dtype == torch.float32
