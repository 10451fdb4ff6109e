"""The transformer, with its semantic branch, against the golden numbers (plain and fast forms)."""

from dataclasses import dataclass, field

import pytest
import torch
from both_forms import run_network
from golden_files import FOLDER, Golden, assert_close, assert_norms_close, assert_thinned_close
from golden_models import transformer
from torch import Tensor

from gpnerf.checkpoint.released import released_name
from gpnerf.models.projection import SampledSources
from gpnerf.models.ray_transformer import RayTransformer

pytestmark = pytest.mark.usefixtures("float64")


@dataclass(frozen=True)
class GivenSources(SampledSources):
    """Sampled sources whose semantic features [ray, sample, view, channel] are given instead of read from maps."""

    given: Tensor = field(kw_only=True)

    def semantics(self, view: int) -> Tensor:
        return self.given[:, :, view].permute(2, 1, 0)


def run(golden: Golden, network: RayTransformer, semantic: Tensor, plain: bool) -> tuple[Tensor, ...]:
    mask = golden["in/mask"][..., 0].bool().permute(2, 1, 0)
    features, relative, points, directions = (
        golden[f"in/{name}"].to(semantic.dtype) for name in ("rgb_feat", "ray_diff", "pts", "ray_d")
    )
    features, relative = (x.permute(2, 1, 0, 3) for x in (features, relative))
    grid = torch.zeros(*mask.shape, 2)  # nothing reads it
    sources = GivenSources(features, relative, mask, grid, None, given=semantic)
    output, rendered, volume = run_network(network, sources, points, directions, plain)
    return output.rgb, output.weights, network.adaptor(rendered), volume


@pytest.mark.parametrize("plain", [True, False])
def test_small(plain: bool) -> None:
    golden = Golden("01_gnt_small")
    network = transformer(golden.meta, golden.weights(), golden.meta["in_feat_ch"])
    outputs = run(golden, network, golden["in/deep_sem_feat"], plain)
    for output, name in zip(outputs, ("rgb", "weights", "sem_feat", "sem_feat_3d"), strict=True):
        assert_close(output, golden[f"out/{name}"], 1e-5)


def run_backward(golden: Golden, plain: bool) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """The gradient of every parameter, by its released name, and the outputs."""
    network = transformer(golden.meta, golden.weights(), golden.meta["in_feat_ch"])
    rgb, weights, rendered, volume = run(golden, network, golden["in/deep_sem_feat"], plain)
    outputs = (torch.cat([rgb, weights], dim=-1), rendered, volume)
    probes = [golden.tensor(f"probe.{i}", tuple(x.shape)) for i, x in enumerate(outputs)]
    sum((x * probe).sum() for x, probe in zip(outputs, probes, strict=True)).backward()
    return {released_name(f"renderer.coarse.{n}")[1]: p.grad for n, p in network.named_parameters()}, outputs


@pytest.mark.parametrize("plain", [True, False])
def test_small_gradients(plain: bool) -> None:
    golden = Golden("01_gnt_small")
    gradients, _ = run_backward(golden, plain)
    ours = torch.stack([gradients[name].norm() for name in golden.meta["grad_norm_names"]])
    assert_norms_close(ours, golden["out/grad_norm"], 1e-4)


def test_fast_form_repeats_the_plain_one() -> None:
    """Outputs and all gradients, in float64, where rounding hides no slip."""
    golden = Golden("01_gnt_small")
    fast, fast_outputs = run_backward(golden, False)
    plain, plain_outputs = run_backward(golden, True)
    for ours, expected in zip(fast_outputs, plain_outputs, strict=True):
        assert_close(ours, expected.detach(), 1e-12)
    largest = max(float(gradient.abs().max()) for gradient in plain.values())
    assert fast.keys() == plain.keys()
    for name, expected in plain.items():
        assert_close(fast[name], expected, 1e-9, floor=1e-5 * largest)


@pytest.mark.parametrize("plain", [True, False])
def test_low_variance_shows_every_epsilon(plain: bool) -> None:
    golden = Golden("01_gnt_small")
    low = golden.meta["lowvar"]
    weights = golden.weights()
    for name in low["scaled_entries"]:
        weights[name] = weights[name] * low["factor"]
    network = transformer(golden.meta, weights, golden.meta["in_feat_ch"])
    rgb, ray_weights, rendered, volume = run(golden, network, golden["in/deep_sem_feat"], plain)
    assert_close(rgb, golden["lowvar/out/rgb"], 1e-5)
    assert_close(ray_weights, golden["lowvar/out/weights"], 1e-5)
    assert_close(rendered, golden["lowvar/out/sem_feat"], 1e-5)
    assert_close(volume[:, -1], golden["lowvar/out/sem_feat_3d_last_sample"], 1e-5)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("01_gnt_width*.npz")))
def test_official_width(name: str, plain: bool) -> None:
    golden = Golden(name)
    network = transformer(golden.meta, golden.seed, golden["in/rgb_feat"].shape[-1] - 3)
    semantic = golden.tensor(golden.meta["deep_sem_name"], tuple(golden.meta["deep_sem_shape"]))
    rgb, weights, rendered, volume = run(golden, network, semantic, plain)
    assert_close(rgb, golden["out/rgb"], 1e-5)
    assert_close(weights, golden["out/weights"], 1e-5)
    assert_close(rendered, golden["out/sem_feat"], 1e-5)
    assert_thinned_close(golden, "out/sem_feat_3d_every", volume, 1e-5)
    assert_close(volume.double().mean(-1).float(), golden["out/sem_feat_3d_mean_f64"], 1e-5)
    assert_close(volume.double().std(-1, correction=0).float(), golden["out/sem_feat_3d_std_f64"], 1e-5)
