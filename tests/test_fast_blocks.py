"""How the fast renderer cuts its work: blocks of rays, what is kept for the backward pass, and the order of samples."""

import pytest
import torch
from golden_files import assert_close
from random_scenes import CHANNELS, FAR, NEAR, WIDTH, Scene, drawn_evenly, gradients, network, render, scene, tensors
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gpnerf import sampling
from gpnerf.models import ray_renderer
from gpnerf.models.ops.fast_pass import FastSamples
from gpnerf.models.ops.fast_transformer import FastTransformer
from gpnerf.models.ray_renderer import RayRenderer
from gpnerf.structures import RayOutput, Wanted

pytestmark = pytest.mark.usefixtures("float64")

RAYS, VIEWS, SAMPLES, IMPORTANCE = 11, 3, 6, 3


def fast_renderer(dropout: float = 0.0, recompute: bool = False, two: bool = False) -> RayRenderer:
    fine = network(1, dropout) if two else None
    return RayRenderer(network(0, dropout), fine, SAMPLES, IMPORTANCE, True, recompute=recompute)


def assert_same(given: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert given.keys() == expected.keys()
    for name, value in given.items():
        assert_close(value, expected[name].detach(), tolerance, floor=1e-3)


def rendered(renderer: RayRenderer, given: Scene) -> tuple[list[RayOutput], dict[str, Tensor]]:
    """Outputs, and the gradients of a mixture of them; the same activations are dropped every time."""
    torch.manual_seed(3)
    outputs = render(renderer, given)
    return outputs, gradients(renderer, given, outputs)


def cut_into(monkeypatch: pytest.MonkeyPatch, rays: int) -> None:
    """Let a CPU render so many rays together."""
    monkeypatch.setattr(ray_renderer, "_CACHED_BYTES", rays * 4 * WIDTH * VIEWS * (SAMPLES + IMPORTANCE))
    assert fast_renderer()._block_size(VIEWS) == rays


@pytest.mark.parametrize("two", [True, False])
@pytest.mark.parametrize("block", [1, 4, 10, RAYS - 1])
def test_results_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch, block: int, two: bool) -> None:
    given, renderer = scene(VIEWS, RAYS, learn=True, two=two), fast_renderer(two=two)
    monkeypatch.setattr(sampling, "importance_depths", drawn_evenly)
    cut_into(monkeypatch, 1000)
    whole, expected = rendered(renderer, given)
    cut_into(monkeypatch, block)
    outputs, found = rendered(renderer, given)
    for ours, theirs in zip(outputs, whole, strict=True):
        assert_same(tensors(ours), tensors(theirs), 1e-6)
    assert_same(found, expected, 1e-6)


@pytest.mark.parametrize("rays", [3, 4, 5, 7, 8, 9])
def test_any_number_of_rays_may_meet_a_block(monkeypatch: pytest.MonkeyPatch, rays: int) -> None:
    cut_into(monkeypatch, 4)
    few, renderer = scene(VIEWS, rays), fast_renderer()
    every = scene(VIEWS, rays)
    with torch.no_grad():
        outputs = renderer(few.rays, few.maps, NEAR, FAR, few.everything)
        alone = [
            renderer(every.rays[i : i + 1], every.maps, NEAR, FAR, every.everything[i : i + 1]) for i in range(rays)
        ]
    for ours, parts in zip(outputs, zip(*alone, strict=True), strict=True):
        assert_same(tensors(ours), tensors(RayOutput.joined(parts)), 1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputing_changes_nothing(monkeypatch: pytest.MonkeyPatch, dropout: float) -> None:
    cut_into(monkeypatch, 4)
    given = scene(VIEWS, RAYS, learn=True)
    kept, kept_gradients = rendered(fast_renderer(dropout), given)
    cut_into(monkeypatch, 2)  # computing again takes blocks twice as large, and dropout draws block by block
    again, again_gradients = rendered(fast_renderer(dropout, recompute=True), given)
    for ours, theirs in zip(again, kept, strict=True):
        assert_same(tensors(ours), tensors(theirs), 1e-6)
    assert_same(again_gradients, kept_gradients, 1e-6)
    other, _ = rendered(fast_renderer(), given)
    assert torch.allclose(other[-1].rgb, kept[-1].rgb, atol=1e-4) == (dropout == 0)


def test_recomputing_keeps_less() -> None:
    kept = []
    for recompute in (False, True):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, s=sizes: s.append(x.numel()) or x, lambda x: x):
            render(fast_renderer(recompute=recompute), scene(VIEWS, RAYS))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


@pytest.mark.parametrize("two", [True, False])
def test_a_fine_pass_of_the_same_network_reads_its_new_samples_only(two: bool) -> None:
    given, renderer = scene(VIEWS, RAYS, two=two), fast_renderer(two=two)
    embedded: list[int] = []
    for module in filter(None, (renderer.coarse, renderer.fine)):
        module.embed.register_forward_hook(lambda _, inputs, output: embedded.append(inputs[0].shape[1]))
    render(renderer, given)
    assert embedded == [SAMPLES, SAMPLES + IMPORTANCE if two else IMPORTANCE]


class LargestResult(TorchDispatchMode):
    """The number of elements of the largest tensor that an operation returned."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor):
                self.elements = max(self.elements, each.numel())
        return result


@pytest.mark.parametrize("guided", [False, True])
def test_semantic_features_of_all_views_never_exist_together(guided: bool) -> None:
    rays, views = 40, 6
    given = scene(views, rays)
    wanted = Wanted(features=True, reference=given.reference if guided else None)
    every = rays * (SAMPLES + IMPORTANCE) * views * CHANNELS
    largest = {}
    for plain in (True, False):
        renderer = RayRenderer(network(), None, SAMPLES, IMPORTANCE, True, plain)
        with torch.no_grad(), LargestResult() as watched:
            render(renderer, given, wanted)
        largest[plain] = watched.elements
    assert largest[True] >= every  # the watch does see them in the plain form
    assert largest[False] <= every / views


def test_the_order_of_the_samples_after_the_nearest_does_not_matter() -> None:
    given, fast = scene(VIEWS, RAYS), FastTransformer(network())
    z = NEAR + (FAR - NEAR) * torch.rand(RAYS, 7, generator=torch.Generator().manual_seed(1)).sort(dim=1).values
    order = torch.tensor([0, 4, 2, 6, 1, 5, 3])

    def read(depths: Tensor) -> FastSamples:
        return FastSamples.read(fast, given.rays, depths, given.maps)

    in_order = tensors(read(z).render(given.maps, given.everything))
    for shuffled in (read(z[:, order]), read(z[:, order[:4]]).joined(read(z[:, order[4:]]))):
        assert_same(tensors(shuffled.render(given.maps, given.everything)), in_order, 1e-6)
    assert torch.equal(in_order["z"], z)
    # Only the weights (and with them the depth) look at which sample comes first.
    turned = tensors(read(z.flip(1)).render(given.maps, given.everything))
    symmetric = ("rgb", "features", "field", "guidance")
    assert_same({name: turned[name] for name in symmetric}, {name: in_order[name] for name in symmetric}, 1e-6)
    assert not torch.allclose(turned["weights"], in_order["weights"], atol=1e-3)


def test_each_ray_keeps_its_own_weights_when_sorted() -> None:
    """Rays whose samples come in different orders."""
    given, fast = scene(VIEWS, RAYS), FastTransformer(network())
    generator = torch.Generator().manual_seed(1)
    z = NEAR + (FAR - NEAR) * torch.rand(RAYS, 5, generator=generator).sort(dim=1).values
    order = torch.stack([torch.cat([torch.zeros(1).long(), 1 + torch.randperm(4, generator=generator)]) for _ in z])
    in_order = FastSamples.read(fast, given.rays, z, given.maps)
    shuffled = FastSamples.read(fast, given.rays, z.gather(1, order), given.maps)
    expected = tensors(in_order.render(given.maps, given.everything))
    assert_same(tensors(shuffled.render(given.maps, given.everything)), expected, 1e-6)
