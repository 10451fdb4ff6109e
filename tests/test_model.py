"""The whole model: shapes for odd sizes and every form, and which loss trains which part."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from tiny_model import CLASSES, architecture, example, model, rays_of
from torch import Tensor, nn

from gpnerf import losses
from gpnerf.distributed import Context
from gpnerf.geometry import camera_rays
from gpnerf.models.gpnerf import GPNeRF, StepOutput
from gpnerf.models.heads import PerceptionHead
from gpnerf.structures import Cameras, Example, Rays, Wanted
from gpnerf.training.objective import LossWeights, Objective
from gpnerf.training.state import TrainingState
from gpnerf.training.step import StepSettings, train_step

pytestmark = pytest.mark.usefixtures("float64")

RAYS, CHANNELS = 12, 128
FORMS: dict[str, dict[str, Any]] = {
    "default": {},
    "coarse only": {"importance": 0},
    "two networks": {"fine_features": 8},
    "signed features": {"adaptor_relu": False},
    "no insertion": {"insert": False},
    "released cells": {"compat": "release"},
    "plain": {"plain": True},
}


@pytest.mark.parametrize(("height", "width"), [(37, 45), (32, 32), (33, 50)])
@pytest.mark.parametrize("views", [1, 2, 5])
def test_outputs_have_the_size_of_the_inputs(height: int, width: int, views: int) -> None:
    given = example(views, height, width)
    output = model()(given, rays_of(given, RAYS), guidance=True)
    assert output.logits.shape == (CLASSES + 1, height, width)
    assert output.reference.shape == (RAYS, CHANNELS)
    assert output.coarse.weights.shape == (RAYS, 6) and output.fine.weights.shape == (RAYS, 9)
    assert output.fine.features.shape == (RAYS, CHANNELS) and output.fine.guidance.shape == (RAYS, 9)
    assert torch.allclose(output.fine.weights.double().sum(dim=1), torch.ones(RAYS), atol=5e-5)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_renders_finite_numbers_and_trains(form: str) -> None:
    given = example(height=37, width=45)
    output = model(**FORMS[form])(given, rays_of(given, RAYS), guidance=True)
    assert (output.fine is None) == (form == "coarse only")
    if form != "coarse only":
        # Only the last pass is asked for semantics, but the plain form carries them through both.
        assert (output.coarse.features is not None) == (output.coarse.guidance is not None) == (form == "plain")
    last = output.last
    assert last.features.shape == (RAYS, CHANNELS) and last.guidance.shape == last.z.shape
    assert float(last.guidance.detach().abs().max()) <= 1 + 1e-5
    assert (float(last.features.detach().min()) >= 0) == (form != "signed features")
    assert bool(output.logits.isfinite().all()) and bool(last.rgb.isfinite().all())


def test_features_that_are_not_inserted_are_rendered_when_asked_for() -> None:
    given, network = example(), model(insert=False)
    rays = rays_of(given, RAYS)
    assert network(given, rays).last.features is None
    asked, guided = network(given, rays, features=True).last, network(given, rays, guidance=True).last
    assert asked.guidance is None
    torch.testing.assert_close(asked.features, guided.features)


@pytest.mark.parametrize("plain", [False, True])
def test_an_adaptor_that_starts_as_identity_renders_averages_of_the_source_features(plain: bool) -> None:
    given, made = example(views=1), {"adaptor_relu": False, "dropout": 0.0, "plain": plain}
    started, random = model(adaptor_identity=True, **made), model(**made)
    # One source view of one feature everywhere: what is seen of it anywhere averages to it.
    feature = torch.randn(CHANNELS, generator=torch.Generator().manual_seed(0))
    maps = started.encode_sources(given.sources)
    maps = replace(maps, semantic=feature[None, :, None, None].expand_as(maps.semantic).contiguous())
    camera = given.sources.cameras
    same = Cameras(camera.intrinsics[0], camera.cam_to_world[0], camera.height, camera.width)
    rays = camera_rays(same, torch.tensor([[5, 5], [20, 17], [33, 28]]))
    _, fine = started.renderer(rays, maps, 0.5, 6.0, Wanted(features=True))
    torch.testing.assert_close(fine.features, feature.expand(3, -1), atol=1e-4, rtol=1e-4)
    for name, weight in random.state_dict().items():  # nothing else starts elsewhere
        assert torch.equal(weight, started.state_dict()[name]) != ("adaptor" in name)


def test_label_rendering_has_logits_of_rays_and_no_feature_map() -> None:
    given, network = example(), model(semantic_model="fc")
    output = network(given, rays_of(given, RAYS), guidance=True)
    assert network.fpn is None and network.head is None
    assert output.logits is None and output.reference is None and output.fine.features is None
    assert output.coarse.logits.shape == output.fine.logits.shape == (RAYS, CLASSES + 1)
    assert network.segment(torch.zeros(4, 8, 8), 16, 16) == (None, None)
    with pytest.raises(ValueError, match="no semantic features"):
        network.encode_semantics(given.target.image)


def test_a_model_is_the_same_after_a_round_trip_of_its_sizes() -> None:
    sizes = architecture(fine_features=8, insert=False)
    assert type(sizes).from_dict(sizes.to_dict()) == sizes


def test_a_wrong_shape_raises() -> None:
    with pytest.raises(TypeCheckError):
        PerceptionHead(8, 64, 2)(torch.zeros(8, 16, 16))


def distillation(output: StepOutput, given: Example) -> Tensor:
    last = output.last
    return losses.distillation_loss(last.features, output.reference) + losses.depth_guided_loss(
        last.guidance, last.weights, n_p=1
    )


def cross_entropy(output: StepOutput, given: Example) -> Tensor:
    return losses.segmentation_loss(output.logits, given.target.labels, CLASSES)


def colour(output: StepOutput, given: Example) -> Tensor:
    return output.coarse.rgb.square().mean() + output.fine.rgb.square().mean()


def trained(loss: Any, **changes: Any) -> set[str]:
    """The parts of the model that a loss alone gives a gradient."""
    given, network = example(), model(**changes)
    loss(network(given, rays_of(given, RAYS), guidance=True), given).backward()
    parts: dict[str, nn.Module] = {
        **{name: getattr(network.encoder, name) for name in ("stem", "stage1", "stage2", "stage3", "up3", "out")},
        "transformer": network.renderer.coarse.embed,
        "adaptor": network.renderer.coarse.adaptor,
        "fpn": network.fpn,
        "head": network.head,
    }
    return {name for name, part in parts.items() if any(has_gradient(p) for p in part.parameters())}


def has_gradient(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


RENDERER = {"stem", "stage1", "stage2", "up3", "out", "transformer"}


def test_distillation_trains_the_renderer_and_neither_pyramid_nor_last_stage_nor_head() -> None:
    assert trained(distillation) == RENDERER | {"adaptor"}


def test_distillation_trains_the_pyramid_when_the_reference_is_not_detached() -> None:
    assert trained(distillation, detach_reference=False) == RENDERER | {"adaptor", "stage3", "fpn"}


@pytest.mark.parametrize("detach", [True, False])
def test_colour_does_not_pass_the_gradient_block(detach: bool) -> None:
    assert trained(colour, detach_reference=detach) == RENDERER


def test_cross_entropy_reaches_the_renderer_through_the_inserted_features() -> None:
    assert trained(cross_entropy) == RENDERER | {"adaptor", "stage3", "fpn", "head"}


def test_cross_entropy_without_insertion_trains_the_target_images_path_alone() -> None:
    # The target's colour decoder (up3, out) is not run: nothing reads it.
    assert trained(cross_entropy, insert=False) == {"stem", "stage1", "stage2", "stage3", "fpn", "head"}


def test_insertion_changes_the_logits_near_the_rays_only_through_the_rendered_features() -> None:
    given = example()
    rays = rays_of(given, RAYS)
    inserted, plain = model()(given, rays), model(insert=False)(given, rays)
    assert not torch.allclose(inserted.logits, plain.logits, atol=1e-3)
    assert torch.equal(inserted.reference, plain.reference)  # taken before the insertion


def training_state(network: GPNeRF) -> TrainingState:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    return TrainingState(network, network, optimizer, scheduler, torch.zeros(CLASSES, dtype=torch.int64))


@pytest.mark.parametrize("amp", ["none", "bf16"])
def test_the_pyramid_learns_in_low_precision_too(amp: str) -> None:
    network, given = model(), example()
    settings = StepSettings(
        rays=RAYS, sample_mode="uniform", center_ratio=0.8, jitter=True, clip_grad_norm=0.0, amp=amp, seed=0
    )
    objective = Objective(LossWeights(0.25, 0.75, 0.25, 0.0), CLASSES, 1, "anti", "none")
    report = train_step(training_state(network), [given], objective, settings, Context(), torch.device("cpu"))
    assert report.finite
    for part in (network.fpn, network.encoder.stage3, network.head):
        weights = [p for p in part.parameters() if p.ndim > 1]
        assert all(has_gradient(weight) for weight in weights)


def test_jitter_comes_from_the_generator_only() -> None:
    given, network = example(), model()
    rays: Rays = rays_of(given, RAYS)
    fixed, again = network(given, rays), network(given, rays)
    assert torch.equal(fixed.fine.z, again.fine.z)
    jittered = [network(given, rays, generator=torch.Generator().manual_seed(seed)).coarse.z for seed in (1, 1, 2)]
    assert torch.equal(jittered[0], jittered[1]) and not torch.equal(jittered[0], jittered[2])
    assert not torch.equal(jittered[0], fixed.coarse.z)
