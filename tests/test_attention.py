"""Both attentions: fast against plain form, invariances over views, and PyTorch's own multi-head attention."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from both_forms import share_dropout
from torch import Tensor, nn

from gpnerf.models.attention import FeedForward, RayAttention, ViewAttention, ViewBlock
from gpnerf.models.ops.ray_attention import ray_attention
from gpnerf.models.ops.view_attention import fold_view_attention, view_attention

RAYS, SAMPLES, VIEWS, WIDTH = 3, 5, 4, 16


@pytest.fixture(autouse=True)
def in_double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def attention_of_views(dropout: float = 0.0) -> ViewAttention:
    torch.manual_seed(3)
    return ViewAttention(WIDTH, dropout)


def view_inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(RAYS, SAMPLES, WIDTH, generator=generator)
    views = torch.randn(RAYS, SAMPLES, VIEWS, WIDTH, generator=generator)
    relative = torch.randn(RAYS, SAMPLES, VIEWS, 4, generator=generator)
    mask = torch.rand(RAYS, SAMPLES, VIEWS, generator=generator) > 0.3
    mask[..., 0] = True
    return q, views, relative, mask


def views_first(x: Tensor) -> Tensor:
    """Views, then samples and rays in one."""
    return x.permute(2, 1, 0, 3).flatten(1, 2)


def attend(
    attention: ViewAttention, q: Tensor, views: Tensor, relative: Tensor, mask: Tensor, plain: bool
) -> tuple[Tensor, Tensor]:
    """Attended features and weights of either form, rays first."""
    if plain:
        return attention(q, views, relative, mask)
    folded = fold_view_attention(attention)
    query = F.linear(q.transpose(0, 1).flatten(0, 1), folded.query.T)
    places = F.relu(F.pad(views_first(relative), (0, 1), value=1.0) @ folded.place)
    unseen = views_first(~mask[..., None]).to(q)
    kept = views_first(attention.dropout(torch.ones_like(views))) if attention.dropout.p else None
    attended, weights = view_attention(query, views_first(views), places, unseen, folded, kept)
    attended = attention.dropout(attention.out(attended)).unflatten(0, (SAMPLES, RAYS)).transpose(0, 1)
    return attended, weights.unflatten(1, (SAMPLES, RAYS)).permute(2, 1, 0, 3)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_fast_view_attention_equals_the_plain_form_with_its_gradients(dropout: float) -> None:
    attention = attention_of_views(dropout)
    share_dropout(attention, RAYS, SAMPLES)
    q, views, relative, mask = view_inputs()
    mask[1, 2] = False  # a sample that no view sees
    results = []
    for plain in (True, False):
        inputs = [x.clone().requires_grad_() for x in (q, views, relative)]
        output, weights = attend(attention, *inputs, mask, plain)
        attention.zero_grad()
        (output.square().sum() + (weights * weights.detach().roll(1, 0)).sum()).backward()
        results.append([output, weights, *(x.grad for x in inputs), *(p.grad for p in attention.parameters())])
    for plain_value, fast_value in zip(*results, strict=True):
        assert torch.allclose(plain_value, fast_value, rtol=1e-11, atol=1e-13)
    names = [name for name, _ in attention.named_parameters()]
    for name, gradient in zip([*"qvr", *names], results[0][2:], strict=True):
        # What is added to the scores of all views alike cancels in the softmax, but for rounding.
        assert (float(gradient.abs().max()) > 1e-9) == (name != "score.last.bias"), name


@pytest.mark.parametrize("plain", [True, False])
def test_the_order_of_the_views_does_not_matter(plain: bool) -> None:
    attention, (q, views, relative, mask) = attention_of_views(), view_inputs()
    order = torch.tensor([2, 0, 3, 1])
    output, weights = attend(attention, q, views, relative, mask, plain)
    shuffled_inputs = (x[:, :, order] for x in (views, relative, mask))
    shuffled, shuffled_weights = attend(attention, q, *shuffled_inputs, plain)
    assert torch.allclose(shuffled, output, atol=1e-13)
    assert torch.allclose(shuffled_weights, weights[:, :, order], atol=1e-13)


@pytest.mark.parametrize("plain", [True, False])
def test_what_a_masked_view_shows_does_not_matter(plain: bool) -> None:
    attention, (q, views, relative, mask) = attention_of_views(), view_inputs()
    output, weights = attend(attention, q, views, relative, mask, plain)
    hidden = ~mask[..., None]
    changed, _ = attend(attention, q, views + 100 * hidden, relative - 7 * hidden, mask, plain)
    assert bool(hidden.any()) and torch.equal(changed, output)
    assert torch.equal(weights * hidden, torch.zeros_like(weights))
    assert torch.allclose(weights.sum(dim=2), torch.ones(()))


@pytest.mark.parametrize("plain", [True, False])
def test_a_sample_that_no_view_sees_weighs_all_views_alike(plain: bool) -> None:
    attention, (q, views, relative, mask) = attention_of_views(), view_inputs()
    output, weights = attend(attention, q, views, relative, torch.zeros_like(mask), plain)
    assert bool(output.isfinite().all())
    assert torch.allclose(weights, torch.full_like(weights, 1 / VIEWS))


@pytest.mark.parametrize("plain", [True, False])
def test_view_attention_equals_its_formulas_sample_by_sample(plain: bool) -> None:
    attention, (q, views, relative, mask) = attention_of_views(), view_inputs()
    output, _ = attend(attention, q, views, relative, mask, plain)
    for ray in range(RAYS):
        for sample in range(SAMPLES):
            seen = [view for view in range(VIEWS) if mask[ray, sample, view]]
            keys = [attention.key(views[ray, sample, view]) for view in seen]
            places = [attention.position(relative[ray, sample, view]) for view in seen]
            query = attention.query(q[ray, sample])
            scores = [attention.score(k - query + p).exp() for k, p in zip(keys, places, strict=True)]
            parts = [s * (attention.value(k) + p) for s, k, p in zip(scores, keys, places, strict=True)]
            assert torch.allclose(output[ray, sample], attention.out(sum(parts) / sum(scores)), atol=1e-12)


@pytest.mark.parametrize("plain", [True, False])
def test_ray_attention_equals_multihead_attention_of_pytorch(plain: bool) -> None:
    torch.manual_seed(0)
    heads = 4
    ours, theirs = RayAttention(WIDTH, heads, 0.0), nn.MultiheadAttention(WIDTH, heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    x = torch.randn(RAYS, SAMPLES, WIDTH, generator=torch.Generator().manual_seed(2))
    expected, expected_attention = theirs(x, x, x, average_attn_weights=False)
    if plain:
        output, attention = ours(x)
    else:
        joined, attention, nearest = ray_attention(ours, x.transpose(0, 1).flatten(0, 1), SAMPLES, RAYS)
        output = ours.out(joined).unflatten(0, (SAMPLES, RAYS)).transpose(0, 1)
        assert torch.equal(nearest, attention[:, :, 0])
    assert torch.allclose(output, expected, atol=1e-13)
    assert torch.allclose(attention, expected_attention, atol=1e-13)


def test_ray_attention_refuses_a_width_that_its_heads_do_not_share() -> None:
    with pytest.raises(ValueError, match="18 is not a multiple of 4"):
        RayAttention(18, 4, 0.0)


def test_a_block_whose_projections_are_zero_passes_its_input_through() -> None:
    block = ViewBlock(WIDTH, 0.0)
    for layer in (block.attention.out, block.feed_forward.down):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    q, views, relative, mask = view_inputs()
    assert torch.equal(block(q, views, relative, mask)[0], q)


def test_feed_forward_drops_activations_in_training_only() -> None:
    torch.manual_seed(0)
    layer, x = FeedForward(WIDTH, 64, 0.5), torch.randn(4, WIDTH)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))
