"""The re-associated view attention by itself: finite differences, views that see nothing, low precision."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gpnerf.models.attention import ViewAttention
from gpnerf.models.ops.view_attention import FoldedViewAttention, fold_view_attention, view_attention

VIEWS, TOKENS, WIDTH, HIDDEN = 3, 4, 16, 2
NAMES = ("value", "score", "place_value", "place_score", "score_last")


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def folded() -> FoldedViewAttention:
    """Weights without a history."""
    torch.manual_seed(0)
    with torch.no_grad():
        return fold_view_attention(ViewAttention(WIDTH, 0.0).double())


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, views, places and `unseen`: one view does not see the first token, and none sees the third."""
    unseen = torch.zeros(VIEWS, TOKENS, 1, dtype=torch.float64)
    unseen[1, 0], unseen[:, 2] = 1, 1
    places = random(VIEWS, TOKENS, folded().place.shape[1], seed=2)
    return random(TOKENS, HIDDEN, seed=0), random(VIEWS, TOKENS, WIDTH, seed=1), places, unseen


def mask() -> Tensor:
    return 1.25 * (torch.rand(VIEWS, TOKENS, WIDTH, generator=torch.Generator().manual_seed(7)) > 0.2).double()


@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize("kept", [None, mask()], ids=["all kept", "dropout"])
def test_gradients_agree_with_finite_differences(kept: Tensor | None, save: bool) -> None:
    weights = folded()
    query, views, places, unseen = inputs()
    learning = [x.detach().requires_grad_() for x in (query, views, places, *(getattr(weights, n) for n in NAMES))]

    def attend(query: Tensor, views: Tensor, places: Tensor, *each: Tensor) -> tuple[Tensor, Tensor]:
        given = replace(weights, **dict(zip(NAMES, each, strict=True)))
        return view_attention(query, views, places, unseen, given, kept, save)

    assert torch.autograd.gradcheck(attend, learning)


@pytest.mark.parametrize("chosen", [0, 1])
def test_each_output_alone_may_be_learned_from(chosen: int) -> None:
    weights = folded()
    results = []
    for save in (True, False):
        query, views, places, unseen = (x.requires_grad_() for x in inputs())
        view_attention(query, views, places, unseen.detach(), weights, mask(), save)[chosen].square().sum().backward()
        results.append([query.grad, views.grad, places.grad])
    for saved, again in zip(*results, strict=True):
        assert torch.allclose(saved, again, rtol=1e-12, atol=1e-14) and bool(saved.any())


def test_attention_sums_to_one_over_the_views_that_see() -> None:
    query, views, places, unseen = inputs()
    _, attention = view_attention(query, views, places, unseen, folded())
    assert torch.allclose(attention.sum(dim=0), torch.ones(()).double())
    assert not attention[1, 0].any() and bool((attention[[0, 2], 0] > 0).all())
    assert torch.allclose(attention[:, 2], torch.full((), 1 / VIEWS, dtype=torch.float64), atol=1e-12)
    assert float((attention[:, 1] - 1 / VIEWS).detach().abs().min()) > 1e-6  # views that see are told apart


def test_scores_of_views_that_do_not_see_learn_nothing() -> None:
    """Not even where no view sees, and the attention is spread evenly whatever the scores."""
    query, views, places, _ = (x.requires_grad_() for x in inputs())
    torch.manual_seed(0)
    module = ViewAttention(WIDTH, 0.0).double()
    blind = torch.ones(VIEWS, TOKENS, 1, dtype=torch.float64)
    attended, attention = view_attention(query, views, places, blind, fold_view_attention(module))
    (attended.square().sum() + (attention * random(*attention.shape, seed=5)).sum()).backward()
    assert not query.grad.any() and bool(views.grad.any())
    for part in (module.query, module.score.first, module.score.last):
        assert all(p.grad is None or not p.grad.any() for p in part.parameters())
    assert bool(module.value.weight.grad.any())


@pytest.mark.parametrize("blind", [False, True])
def test_bfloat16_keeps_the_softmax_in_float32(blind: bool) -> None:
    query, views, places, unseen = inputs()
    unseen = torch.ones_like(unseen) if blind else unseen
    expected, expected_attention = view_attention(query, views, places, unseen, folded())
    low = [x.bfloat16() for x in (query, views, places, unseen)]
    attended, attention = view_attention(*low, folded())
    assert attention.dtype == torch.float32
    assert torch.allclose(attention.sum(dim=0), torch.ones(()), atol=5e-5)
    assert torch.allclose(attention.double(), expected_attention, atol=2e-2)
    assert float((attended.double() - expected).norm() / expected.norm()) < 2e-2


def test_values_and_weights_are_not_kept_unless_saved() -> None:
    query, views, places, unseen = (x.requires_grad_() for x in inputs())
    counts = []
    for save in (True, False):
        kept: list[tuple[int, ...]] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.shape) or x, lambda x: x):
            view_attention(query, views, places, unseen.detach(), folded(), None, save)
        counts.append(kept.count((VIEWS, TOKENS, WIDTH)))
    assert counts == [3, 1]  # views, values and weights; views alone
