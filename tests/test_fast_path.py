"""The fast renderer against the plain one on random scenes: outputs and gradients."""

from dataclasses import replace

import pytest
import torch
from golden_files import assert_close
from random_scenes import FAR, NEAR, Scene, drawn_evenly, gradients, network, render, scene, seen, tensors

from gpnerf import sampling
from gpnerf.models.ops.fast_pass import FastSamples
from gpnerf.models.ops.fast_transformer import FastTransformer
from gpnerf.models.plain_pass import plain_pass
from gpnerf.models.ray_renderer import RayRenderer
from gpnerf.structures import RayOutput, Wanted

# Views, coarse and fine samples: one view, one fine sample, no fine pass, as few coarse samples as a fine pass takes.
SIZES = [(1, 6, 3), (3, 7, 1), (3, 6, 0), (5, 3, 4)]


@pytest.fixture
def equal_depths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine samples that do not depend on the coarse weights: rounding would move them."""
    monkeypatch.setattr(sampling, "importance_depths", drawn_evenly)


def in_both_forms(given: Scene, samples: int, importance: int, inverse: bool = True, two: bool = False) -> list:
    """The renderer and its outputs, plain and fast."""
    renderers = [
        RayRenderer(network(), network(1) if two else None, samples, importance, inverse, plain)
        for plain in (True, False)
    ]
    return [(renderer, render(renderer, given)) for renderer in renderers]


def assert_same(fast: RayOutput, plain: RayOutput, tolerance: float = 1e-6) -> None:
    expected = tensors(plain)
    for name, value in tensors(fast).items():
        assert_close(value, expected[name].detach(), tolerance, floor=0)


def test_the_scenes_hold_what_is_hard() -> None:
    """Points that all, some and no views see, and whole rays that nothing sees."""
    given = scene(rays=200)
    mask = seen(given, sampling.coarse_depths(200, NEAR, FAR, 6, True))
    by_point = mask.sum(dim=0)
    assert {0, 1, 2, 3} == set(by_point.unique().tolist())
    assert bool((by_point == 0).all(dim=0).any()) and bool((by_point > 0).all(dim=0).any())
    one_view = seen(scene(1, 11), sampling.coarse_depths(11, NEAR, FAR, 6, True))
    assert 0 < int(one_view.any(dim=1).sum()) < 11  # rays seen and not seen


@pytest.mark.usefixtures("float64", "equal_depths")
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize(("views", "samples", "importance"), SIZES)
def test_outputs_equal_those_of_the_plain_form(views: int, samples: int, importance: int, two: bool) -> None:
    given = scene(views, two=two)
    (_, plain), (_, fast) = in_both_forms(given, samples, importance, inverse=views != 3, two=two)
    assert len(plain) == len(fast) == 1 + (importance > 0)
    for ours, expected in zip(fast, plain, strict=True):
        assert_same(ours, expected)
    last = fast[-1]
    assert None not in (last.features, last.field, last.guidance)
    assert bool((last.z.diff(dim=1) >= 0).all()) and last.z.shape == (11, samples + importance)
    # A comparison of evenly spread weights would see no sample at the wrong place.
    assert float((last.weights.detach() - 1 / last.z.shape[1]).abs().max()) > 0.03


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("samples", [1, 2, 5])
def test_a_pass_at_given_depths_equals_the_plain_one(views: int, samples: int) -> None:
    given, one = scene(views, seed=1), network()
    z = NEAR + (FAR - NEAR) * torch.rand(11, samples, generator=torch.Generator().manual_seed(1)).sort(dim=1).values
    plain = plain_pass(one, given.rays, z, given.maps, given.everything, fine=False)
    fast = FastSamples.read(FastTransformer(one), given.rays, z, given.maps).render(given.maps, given.everything)
    assert_same(fast, plain)


@pytest.mark.usefixtures("float64", "equal_depths")
@pytest.mark.parametrize(("learn", "two"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("views", "samples", "importance"), SIZES)
def test_gradients_equal_those_of_the_plain_form(
    views: int, samples: int, importance: int, learn: bool, two: bool
) -> None:
    given = scene(views, seed=5, learn=learn, two=two)
    results = []
    for renderer, outputs in in_both_forms(given, samples, importance, two=two):
        # The plain form alone renders semantics in its coarse pass; they are no part of the loss.
        first = replace(outputs[0], features=None, field=None, guidance=None)
        results.append(gradients(renderer, given, [first, *outputs[1:]] if importance else outputs))
    plain, fast = results
    assert learn == ("maps.semantic" in plain) == ("maps.colour" in plain)
    largest = max(float(x.norm()) for name, x in plain.items() if not name.startswith("maps"))
    for name, expected in plain.items():
        if name.endswith("attention.score.last.bias"):
            # Added to the scores of all views alike, it has no effect: the plain form finds nothing but rounding here.
            expected = torch.zeros_like(expected)
        bound = 1e-6 * max(float(expected.norm()), 1e-5 * largest)
        ours = fast.get(name, torch.zeros_like(expected))
        assert float((ours - expected).norm()) <= bound, name


def test_end_to_end_at_most_one_ray_in_a_thousand_differs_more() -> None:
    """Fine depths jump where rounding moves a sample into another bin."""
    given = scene(rays=3000, seed=2)
    with torch.no_grad():
        (_, plain), (_, fast) = in_both_forms(given, 6, 4)
    expected = tensors(plain[-1])
    different = torch.zeros(3000, dtype=torch.bool)
    for name, value in tensors(fast[-1]).items():
        gap = (value - expected[name]).abs().flatten(1) if value.ndim > 1 else (value - expected[name]).abs()[:, None]
        different |= gap.amax(dim=1) > 1e-4 * expected[name].abs().max()
    assert float(different.double().mean()) <= 1e-3


@pytest.mark.usefixtures("equal_depths")
@pytest.mark.parametrize("seed", [0, 1])
def test_bfloat16_changes_little(seed: int) -> None:
    """Of a network whose colours are of the size of real ones."""
    given, renderer = scene(rays=64, seed=seed), RayRenderer(network(seed, contrast=1.0), None, 6, 3, True)
    with torch.no_grad():
        full = render(renderer, given)
        with torch.autocast("cpu", torch.bfloat16):
            low = render(renderer, given)
    for ours, expected in zip(low, full, strict=True):
        assert torch.equal(ours.z, expected.z)
        assert 0 < float((ours.rgb - expected.rgb).abs().mean()) <= 1 / 255
        assert ours.rgb.dtype == ours.weights.dtype == ours.depth.dtype == torch.float32
    features, expected_features = low[-1].features, full[-1].features
    assert float((features.float() - expected_features).norm() / expected_features.norm()) <= 2e-2


def test_no_part_is_rendered_that_nobody_asked_for() -> None:
    given = scene()
    renderer = RayRenderer(network(), None, 6, 3, True)
    for wanted, names in (
        (Wanted(), set()),
        (Wanted(features=True), {"features"}),
        (Wanted(features=True, field=True), {"features", "field"}),
        (Wanted(features=True, reference=given.reference), {"features", "guidance"}),
    ):
        coarse, fine = render(renderer, given, wanted)
        bare = {"rgb", "depth", "weights", "z"}
        assert set(tensors(coarse)) == bare and set(tensors(fine)) == bare | names
