"""Blended colours are means of what the source views show, by definition and in the fast form."""

import pytest
import torch
from tiny_model import example, model, rays_of
from torch import Tensor

from gpnerf.models.gpnerf import GPNeRF
from gpnerf.structures import RayOutput, Wanted


def rendered(network: GPNeRF, colour: Tensor | None = None) -> RayOutput:
    given = example()
    maps = network.encode_sources(given.sources)
    if colour is not None:
        maps = type(maps)(maps.cameras, colour[:, None, None].expand_as(maps.images), maps.colour, maps.semantic)
    coarse, fine = network.renderer(rays_of(given), maps, given.near, given.far, Wanted(True))
    return fine or coarse


@pytest.mark.parametrize("plain", [True, False])
def test_a_scene_of_one_colour_has_that_colour(plain: bool) -> None:
    colour = torch.tensor([0.9, 0.1, 0.4])
    network = model(colour_head="blend", plain=plain, samples=4, importance=2)
    with torch.no_grad():
        output = rendered(network, colour)
    torch.testing.assert_close(output.rgb, colour.expand_as(output.rgb), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frame", ["world", "camera"])
@pytest.mark.parametrize("importance", [0, 3])
def test_the_fast_form_is_the_definition_with_its_gradients(frame: str, importance: int) -> None:
    results = []
    for plain in (True, False):
        network = model(colour_head="blend", position_frame=frame, plain=plain, importance=importance).double()
        given = example().mapped(lambda x: x.double() if x.is_floating_point() else x)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():  # away from the zeros that it starts with
            layer = network.renderer.coarse.colour
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64))
        coarse, fine = network.renderer(
            rays_of(given), network.encode_sources(given.sources), given.near, given.far, Wanted(True)
        )
        output = fine or coarse
        (output.rgb.sin().sum() + output.depth.sum()).backward()
        gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        results.append((output.rgb.detach(), gradients))
    (expected, slow), (found, fast) = results
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert slow.keys() == fast.keys()
    largest = max(float(gradient.norm()) for gradient in slow.values())
    for name, gradient in slow.items():
        assert float((fast[name] - gradient).norm()) <= 1e-4 * max(float(gradient.norm()), 1e-2 * largest), name
