"""The training loss against its formula, written out by hand in NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gpnerf.models.gpnerf import StepOutput
from gpnerf.structures import Cameras, Example, RayOutput, Rays, SourceViews, TargetView
from gpnerf.training import LossWeights, Objective

pytestmark = pytest.mark.usefixtures("float64")

HEIGHT, WIDTH, RAYS, SAMPLES, CHANNELS, CLASSES = 6, 8, 10, 7, 5, 3
NEAR, FAR, N_P = 0.5, 5.0, 1
WEIGHTS = LossWeights(colour=0.25, semantic=0.75, distillation=0.2, depth=0.3)


def objective(**weights: float) -> Objective:
    return Objective(replace(WEIGHTS, **weights), ignore=CLASSES, n_p=N_P, negative="anti", compat="none")


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def rays(random: torch.Generator) -> Rays:
    chosen = torch.randperm(HEIGHT * WIDTH, generator=random)[:RAYS]
    return Rays(torch.zeros(RAYS, 3), torch.ones(RAYS, 3), torch.stack([chosen % WIDTH, chosen // WIDTH], dim=-1))


@pytest.fixture
def example(random: torch.Generator) -> Example:
    camera = Cameras(torch.eye(3), torch.eye(4), HEIGHT, WIDTH)
    depth = 4 * torch.rand(HEIGHT, WIDTH, generator=random)
    depth[:, ::3] = 0  # unknown
    labels = torch.randint(0, CLASSES + 1, (HEIGHT, WIDTH), generator=random)
    target = TargetView(camera, torch.rand(3, HEIGHT, WIDTH, generator=random), depth, labels)
    sources = SourceViews(Cameras(torch.eye(3)[None], torch.eye(4)[None], HEIGHT, WIDTH), target.image[None])
    return Example("room", 0, target, sources, (1,), NEAR, FAR)


def one_pass(random: torch.Generator, **more: Tensor) -> RayOutput:
    weights = torch.rand(RAYS, SAMPLES, generator=random).softmax(dim=1)
    z = torch.rand(RAYS, SAMPLES, generator=random).sort(dim=1).values
    # Some depths outside the range, where the loss clamps.
    depth = 6 * torch.rand(RAYS, generator=random)
    return RayOutput(torch.rand(RAYS, 3, generator=random), depth, weights, z, **more)


@pytest.fixture
def output(random: torch.Generator) -> StepOutput:
    features = torch.randn(RAYS, CHANNELS, generator=random)
    field = torch.randn(RAYS, SAMPLES, CHANNELS, generator=random)
    logits = torch.randn(CLASSES + 1, HEIGHT, WIDTH, generator=random)
    reference = torch.randn(RAYS, CHANNELS, generator=random)
    guidance = torch.cosine_similarity(field, reference[:, None], dim=-1)
    fine = one_pass(random, features=features, field=field, guidance=guidance)
    return StepOutput(one_pass(random), fine, logits, None, reference)


def squared_error(output: RayOutput, example: Example, rays: Rays) -> float:
    errors = [
        (output.rgb[ray].double() - example.target.image[:, v, u].double()).square().sum()
        for ray, (u, v) in enumerate(rays.pixels.tolist())
    ]
    return float(sum(errors) / len(errors))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Over rows of logits, without the ignored ones."""
    each = [
        np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, labels, strict=True) if label != CLASSES
    ]
    return float(np.mean(each))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def distilled(last: RayOutput, reference: Tensor) -> tuple[float, float]:
    """The self-distillation and the depth-guided loss."""
    rendered, field, weights, real = (x.double().numpy() for x in (last.features, last.field, last.weights, reference))
    guided = []
    for ray in range(RAYS):
        middle = min(max(int(weights[ray].argmax()), N_P), SAMPLES - 1 - N_P)
        for sample in range(SAMPLES):
            alike = cosine(field[ray, sample], real[ray])
            guided.append(1 - alike if abs(sample - middle) <= N_P else max(alike, 0))
    return float(np.mean([1 - cosine(rendered[ray], real[ray]) for ray in range(RAYS)])), float(np.mean(guided))


def depth_error(output: RayOutput, example: Example, rays: Rays) -> float:
    """Smooth L1 (beta 0.05) of inverse depth, normalised to [0, 1], where depth is known."""

    def normalised(depth: float) -> float:
        return (1 / NEAR - 1 / min(max(depth, NEAR), FAR)) / (1 / NEAR - 1 / FAR)

    errors = []
    for ray, (u, v) in enumerate(rays.pixels.tolist()):
        truth = float(example.target.depth[v, u])
        if truth > 0:
            gap = abs(normalised(float(output.depth[ray])) - normalised(truth))
            errors.append(gap**2 / 0.1 if gap < 0.05 else gap - 0.025)
    return float(np.mean(errors))


def test_total_is_the_published_sum(output: StepOutput, example: Example, rays: Rays) -> None:
    terms = objective().terms(output, example, rays)
    colour = squared_error(output.coarse, example, rays) + squared_error(output.fine, example, rays)
    rows = output.logits.double().flatten(1).T.numpy()
    entropy = cross_entropy(rows, example.target.labels.flatten().numpy())
    depth = depth_error(output.coarse, example, rays) + depth_error(output.fine, example, rays)
    expected = 0.25 * colour + 0.75 * 2 * entropy + 0.2 * sum(distilled(output.fine, output.reference)) + 0.3 * depth
    assert float(sum(terms.values())) == pytest.approx(expected, rel=1e-5)


def test_without_a_fine_pass_the_coarse_one_counts_alone(output: StepOutput, example: Example, rays: Rays) -> None:
    only = replace(output, coarse=output.fine, fine=None)
    both = objective().terms(output, example, rays)
    terms = objective().terms(only, example, rays)
    assert set(both) - set(terms) == {"colour_fine", "depth_fine"}
    for name, same in (("colour_coarse", "colour_fine"), ("depth_coarse", "depth_fine"), ("semantic", "semantic")):
        assert float(terms[name]) == float(both[same])


@pytest.mark.parametrize(
    ("weight", "left_out"),
    [
        ("semantic", {"semantic"}),
        ("distillation", {"distillation", "depth_guided"}),
        ("depth", {"depth_coarse", "depth_fine"}),
        ("depth_guided", {"depth_guided"}),
    ],
)
def test_weight_zero_leaves_a_term_out(
    output: StepOutput, example: Example, rays: Rays, weight: str, left_out: set[str]
) -> None:
    every, fewer = (one.terms(output, example, rays) for one in (objective(), objective(**{weight: 0.0})))
    assert set(every) - set(fewer) == left_out
    assert all(float(every[name]) == float(value) for name, value in fewer.items())
    assert objective(distillation=0.0).wants_guidance is objective(depth_guided=0.0).wants_guidance is False


def test_each_distillation_can_have_a_weight_of_its_own(output: StepOutput, example: Example, rays: Rays) -> None:
    both, second = objective(), objective(distillation=0.0, depth_guided=0.6)
    shared, alone = both.terms(output, example, rays), second.terms(output, example, rays)
    assert float(alone["depth_guided"]) == pytest.approx(3 * float(shared["depth_guided"])) and "distillation" in shared
    assert "distillation" not in alone
    assert second.wants_semantics and second.wants_guidance and not second.wants_features


def test_missing_truth_leaves_its_terms_out(output: StepOutput, example: Example, rays: Rays) -> None:
    bare = replace(example, target=replace(example.target, depth=None, labels=None))
    names = set(objective().terms(output, bare, rays))
    assert names == {"colour_coarse", "colour_fine", "distillation", "depth_guided"}


def test_label_rendering_scores_each_pass_at_the_rays(
    output: StepOutput, example: Example, rays: Rays, random: torch.Generator
) -> None:
    coarse, fine = torch.randn(2, RAYS, CLASSES + 1, generator=random)
    last = replace(output.fine, features=None, field=None, guidance=None, logits=fine)
    rendered = StepOutput(replace(output.coarse, logits=coarse), last, None, None, None)
    terms = objective().terms(rendered, example, rays)
    labels = np.array([int(example.target.labels[v, u]) for u, v in rays.pixels.tolist()])
    for name, logits in (("semantic_coarse", coarse), ("semantic_fine", fine)):
        assert float(terms[name]) == pytest.approx(0.75 * cross_entropy(logits.double().numpy(), labels), rel=1e-5)
    assert not {"semantic", "distillation", "depth_guided"} & set(terms)


def test_no_gradient_reaches_the_reference_or_the_weights(output: StepOutput, example: Example, rays: Rays) -> None:
    reference, weights = output.reference.clone().requires_grad_(), output.fine.weights.clone().requires_grad_()
    features, guidance = output.fine.features.clone().requires_grad_(), output.fine.guidance.clone().requires_grad_()
    fine = replace(output.fine, weights=weights, features=features, guidance=guidance)
    terms = objective().terms(replace(output, fine=fine, reference=reference), example, rays)
    (terms["distillation"] + terms["depth_guided"]).backward()
    assert reference.grad is None and weights.grad is None
    assert float(features.grad.abs().sum()) > 0 and float(guidance.grad.abs().sum()) > 0
