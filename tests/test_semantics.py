"""The collapsed semantic rendering equals its plain definition, in values and gradients."""

import pytest
import torch
from both_forms import run_network, share_dropout
from torch import Tensor

from gpnerf.models.ops.semantic_gather import CollapsedSemantics, PlainSemantics
from gpnerf.models.ops.weighted_read import weighted_read
from gpnerf.models.projection import SampledSources
from gpnerf.models.ray_transformer import RayTransformer

RAYS, SAMPLES, VIEWS, WIDTH, HEADS, LAYERS, FEATURES = 3, 5, 4, 16, 4, 3, 6
CHANNELS = 8 * WIDTH


def sources(maps: Tensor) -> SampledSources:
    generator = torch.Generator().manual_seed(0)
    shape = (VIEWS, SAMPLES, RAYS)
    return SampledSources(
        torch.randn(*shape, FEATURES + 3, generator=generator).double(),
        torch.randn(*shape, 4, generator=generator).double(),
        torch.rand(*shape, generator=generator) > 0.2,
        (2.4 * torch.rand(*shape, 2, generator=generator) - 1.2).double(),
        maps,
    )


def semantic_maps() -> Tensor:
    return torch.randn(VIEWS, CHANNELS, 5, 6, generator=torch.Generator().manual_seed(1)).double().requires_grad_()


def features_of(given: SampledSources) -> Tensor:
    """Semantic features [ray, sample, view, channel]."""
    return torch.stack([given.semantics(view) for view in range(VIEWS)]).permute(3, 2, 0, 1)


def attentions() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    view = torch.randn(LAYERS, RAYS, SAMPLES, VIEWS, WIDTH, generator=generator).double()
    ray = torch.randn(LAYERS, RAYS, HEADS, SAMPLES, SAMPLES, generator=generator).double()
    return view.softmax(3).requires_grad_(), ray.softmax(-1).requires_grad_()


def gathered(plain: bool, want_field: bool, maps: Tensor, view: Tensor, ray: Tensor) -> tuple[Tensor, Tensor | None]:
    """Rendered features and the field [ray, sample, channel] of one form."""
    given = sources(maps)
    if plain:
        carried = PlainSemantics(features_of(given))
        for layer in range(LAYERS):
            carried.add(view[layer], ray[layer])
        rendered, field = carried.result()
        return rendered, field if want_field else None
    collapsed = CollapsedSemantics(want_field)
    for layer in range(LAYERS):
        collapsed.add(view[layer].permute(2, 1, 0, 3), ray[layer])
    rendered, field = weighted_read(maps, given.grid, *collapsed.weights())
    return rendered, None if field is None else field.transpose(0, 1)


def accumulated(plain: bool, want_field: bool = True) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """Rendered features, field, and the gradients of a mixture of both."""
    maps, (view, ray) = semantic_maps(), attentions()
    rendered, field = gathered(plain, want_field, maps, view, ray)
    loss = rendered.square().sum() + (field.sin().sum() if field is not None else 0)
    loss.backward()
    return rendered.detach(), field.detach() if field is not None else None, [maps.grad, view.grad, ray.grad]


@pytest.mark.parametrize("want_field", [True, False])
def test_collapsed_equals_plain(want_field: bool) -> None:
    rendered, field, gradients = accumulated(True, want_field)
    fast_rendered, fast_field, fast_gradients = accumulated(False, want_field)
    assert torch.allclose(fast_rendered, rendered, rtol=0, atol=1e-12)
    assert (field is None) == (fast_field is None) == (not want_field)
    if field is not None and fast_field is not None:
        assert torch.allclose(fast_field, field, rtol=0, atol=1e-12)
    for fast, plain in zip(fast_gradients, gradients, strict=True):
        assert torch.allclose(fast, plain, rtol=1e-12, atol=1e-12) and bool(plain.any())


@pytest.mark.parametrize("want_field", [True, False])
def test_nothing_of_the_layers_is_needed_when_none_learns(want_field: bool) -> None:
    """Attention without gradients is summed in place, and stays what it was."""
    maps, (view, ray) = semantic_maps().detach(), (x.detach() for x in attentions())
    before = view.clone()
    rendered, field = gathered(False, want_field, maps, view, ray)
    expected, expected_field, _ = accumulated(True, want_field)
    assert torch.allclose(rendered, expected, rtol=0, atol=1e-12)
    assert (field is None) == (not want_field)
    if field is not None and expected_field is not None:
        assert torch.allclose(field, expected_field, rtol=0, atol=1e-12)
    assert torch.equal(view, before)


@pytest.mark.parametrize("plain", [True, False])
def test_rendered_features_equal_the_sums_written_out(plain: bool) -> None:
    rendered, field, _ = accumulated(plain)
    view, ray = (x.detach() for x in attentions())
    features = features_of(sources(semantic_maps().detach()))
    for r, c in ((0, 0), (1, 37), (2, CHANNELS - 1)):
        carried = [
            [sum(features[r, j, i, c] * view[layer, r, j, i, c // 8] for i in range(VIEWS)) for j in range(SAMPLES)]
            for layer in range(LAYERS)
        ]
        head = c // (CHANNELS // HEADS)
        total = sum(
            ray[layer, r, head, query, key] * carried[layer][key]
            for layer in range(LAYERS) for query in range(SAMPLES) for key in range(SAMPLES)
        )  # fmt: skip
        assert float(rendered[r, c]) == pytest.approx(float(total) / SAMPLES, abs=1e-12)
        assert field is not None
        for j in range(SAMPLES):
            assert float(field[r, j, c]) == pytest.approx(float(sum(x[j] for x in carried)), abs=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_the_fast_network_equals_the_plain_one(training: bool) -> None:
    torch.manual_seed(0)
    network = RayTransformer(WIDTH, LAYERS, FEATURES, CHANNELS, dropout=0.2).double()
    share_dropout(network, RAYS, SAMPLES)
    network.train(training)
    points = torch.randn(RAYS, SAMPLES, 3, dtype=torch.float64)
    directions = torch.randn(RAYS, 3, dtype=torch.float64)
    results = []
    for plain in (True, False):
        given = sources(semantic_maps().detach())
        output, rendered, field = run_network(network, given, points, directions, plain)
        network.zero_grad()
        features = network.adaptor(rendered)
        (output.ray_feature.sum() + features.square().sum() + field.sin().sum()).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        results.append([output.ray_feature, features, field, *gradients])
        # The last outputs are float32 in both forms.
        results[-1] += [output.rgb.double().round(decimals=5), output.weights.double().round(decimals=5)]
    for plain_value, fast_value in zip(*results, strict=True):
        scale = max(1.0, float(plain_value.detach().abs().max()))
        assert float((plain_value - fast_value).detach().abs().max()) <= 1e-10 * scale
