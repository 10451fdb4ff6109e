"""Samples on rays: limits, order, even spacing, jitter, and inverse-transform sampling against a scalar loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpnerf import sampling

pytestmark = pytest.mark.usefixtures("float64")

seeds = st.integers(0, 2**32 - 1)
both = pytest.mark.parametrize("inverse", [False, True])


@both
def test_coarse_depths_run_from_near_to_far_in_even_steps(inverse: bool) -> None:
    near, far, samples = 0.3, 7.0, 23
    z = sampling.coarse_depths(4, near, far, samples, inverse)
    assert z.shape == (4, samples)
    assert z[:, 0].tolist() == pytest.approx([near] * 4) and z[:, -1].tolist() == pytest.approx([far] * 4)
    assert bool((z.diff(dim=1) > 0).all())
    steps = (1 / z if inverse else z).diff(dim=1)
    assert torch.allclose(steps, steps.mean().expand_as(steps), atol=1e-5)


@both
@settings(max_examples=20, deadline=None)
@given(seed=seeds, near=st.floats(0.05, 2), length=st.floats(0.5, 20), samples=st.integers(2, 30))
def test_jitter_stays_between_the_mid_points_of_depth(
    inverse: bool, seed: int, near: float, length: float, samples: int
) -> None:
    jitter = torch.rand(3, samples, generator=torch.Generator().manual_seed(seed % 2**31))
    even = sampling.coarse_depths(3, near, near + length, samples, inverse)
    z = sampling.coarse_depths(3, near, near + length, samples, inverse, jitter)
    slack = 1e-4
    for index in range(samples):
        low = even[:, index] if index == 0 else (even[:, index - 1] + even[:, index]) / 2
        high = even[:, index] if index == samples - 1 else (even[:, index] + even[:, index + 1]) / 2
        assert bool(((z[:, index] >= low - slack) & (z[:, index] <= high + slack)).all())
        assert torch.allclose(z[:, index], low * (1 - jitter[:, index]) + high * jitter[:, index], atol=slack)


def scalar_inverse(edges: list[float], weights: list[float], u: float) -> float:
    """The position below which a share u of the (raised) weights lies, found bin by bin."""
    raised = [weight + 1e-5 for weight in weights]
    rest = u * sum(raised)
    for left, right, weight in zip(edges[:-1], edges[1:], raised, strict=True):
        if rest <= weight:
            return left + (right - left) * rest / weight
        rest -= weight
    return edges[-1]


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 12))
def test_inverse_transform_equals_a_scalar_loop(seed: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.uniform(0, 5, (2, bins + 1)), axis=1)
    weights, uniform = rng.uniform(0.05, 1, (2, bins)), rng.uniform(0, 1, (2, 9))
    uniform[:, 0], uniform[:, 1] = 0, 1
    result = sampling.inverse_transform(*(torch.from_numpy(x) for x in (edges, weights, uniform)))
    for row in range(2):
        expected = [scalar_inverse(edges[row].tolist(), weights[row].tolist(), u) for u in uniform[row]]
        assert result[row].tolist() == pytest.approx(expected, abs=1e-9)


def test_inverse_transform_follows_the_distribution() -> None:
    weights = torch.tensor([[1.0, 0.0, 3.0, 0.5, 2.0]])
    edges = torch.tensor([[0.0, 1.0, 1.5, 3.0, 3.1, 5.0]])
    count = 40_000
    uniform = torch.rand(1, count, generator=torch.Generator().manual_seed(0))
    drawn = sampling.inverse_transform(edges, weights, uniform)[0]
    shares = np.histogram(drawn.numpy(), bins=edges[0].numpy())[0] / count
    assert shares == pytest.approx((weights / weights.sum())[0].numpy(), abs=0.01)
    inside = drawn[(drawn > 1.5) & (drawn < 3)]
    assert float(inside.mean()) == pytest.approx(2.25, abs=0.02)  # even within a bin


def test_all_mass_in_one_bin_puts_the_samples_there() -> None:
    edges, weights = torch.arange(9.0)[None], torch.zeros(1, 8)
    weights[0, 5] = 1
    drawn = sampling.inverse_transform(edges, weights, torch.linspace(0.01, 0.99, 50)[None])
    assert bool(((drawn >= 5) & (drawn <= 6)).all())


def test_zero_weights_spread_the_samples_evenly_over_the_bins() -> None:
    edges = torch.arange(9.0)[None]
    drawn = sampling.inverse_transform(edges, torch.zeros(1, 8), torch.linspace(0, 1, 17)[None])
    assert drawn[0].tolist() == pytest.approx(torch.linspace(0, 8, 17).tolist(), abs=1e-4)


@both
@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_fine_depths_are_sorted_and_keep_every_coarse_one(inverse: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed % 2**31)
    z = sampling.coarse_depths(3, 0.2, 8.0, 12, inverse, torch.rand(3, 12, generator=generator))
    fine = sampling.fine_depths(z, torch.rand(3, 12, generator=generator), 7, inverse)
    assert fine.shape == (3, 19) and bool((fine.diff(dim=1) >= 0).all())
    assert float(fine.min()) >= float(z.min()) and float(fine.max()) <= float(z.max())
    for ray in range(3):
        assert set(z[ray].tolist()) <= set(fine[ray].tolist())


@both
def test_fine_depths_gather_around_the_heavy_sample_and_ignore_the_ends(inverse: bool) -> None:
    z = sampling.coarse_depths(1, 0.5, 5.0, 21, inverse)
    weights = torch.zeros(1, 21)
    weights[0, 9] = 1
    weights[0, 0] = weights[0, -1] = 100  # the ends have no interval of their own
    fine = sampling.fine_depths(z, weights, 30, inverse, torch.linspace(0.02, 0.98, 30)[None])
    added = [x for x in fine[0].tolist() if x not in z[0].tolist()]
    low, high = float(z[0, 8]), float(z[0, 10])
    assert len(added) >= 29 and all(low < x < high for x in added)


@both
def test_no_gradient_reaches_the_weights(inverse: bool) -> None:
    weights = torch.rand(2, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    z = sampling.coarse_depths(2, 0.5, 5.0, 8, inverse)
    assert not sampling.fine_depths(z, weights, 4, inverse).requires_grad
