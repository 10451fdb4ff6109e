"""Encoder, feature pyramid and head against the golden numbers."""

import pytest
import torch
from golden_files import Golden, assert_close, assert_norms_close
from golden_models import load_released
from torch import Tensor

from gpnerf.checkpoint.released import released_name
from gpnerf.models.encoder import Encoder
from gpnerf.models.fpn import FeaturePyramid
from gpnerf.models.heads import PerceptionHead


def encode(golden: Golden, dtype: torch.dtype) -> tuple[Encoder, dict[str, Tensor]]:
    encoder = Encoder(64, (3, 4, 6), 32).to(dtype)
    load_released(encoder, "encoder", golden.seed)
    colour, pyramid = encoder(golden.hashed(golden.meta["input"]).to(dtype))
    names = ("coarse", "x0", "x1", "x2", "x3")
    return encoder, dict(zip(names, (colour, *pyramid), strict=True))


def subsampled(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "coarse_every2": maps["coarse"][:, :, ::2, ::2],
        "x0_sub": maps["x0"][:, :, ::4, ::4],
        "x1_sub": maps["x1"][:, :, ::2, ::2],
        "x2_sub": maps["x2"][:, ::2],
        "x3_sub": maps["x3"][:, ::2],
    }


@pytest.mark.parametrize(
    ("dtype", "prefix", "tolerance"), [(torch.float32, "out", 5e-5), (torch.float64, "out64", 1e-6)]
)
def test_encoder(dtype: torch.dtype, prefix: str, tolerance: float) -> None:
    golden = Golden("04_resunet")
    maps = encode(golden, dtype)[1]
    for name, output in subsampled(maps).items():
        assert_close(output, golden[f"{prefix}/{name}"], tolerance, floor=0)
    for name, output in maps.items():
        pixels = output.double().flatten(2)
        # The stored statistics are those of the float32 run.
        assert_close(pixels.mean(-1), golden[f"out/{name}_mean_f64"], 5e-5)
        assert_close(pixels.std(-1, correction=0), golden[f"out/{name}_std_f64"], 5e-5)


@pytest.mark.parametrize(("array", "outputs"), [("coarse", ("coarse",)), ("pyramid", ("x0", "x1", "x2", "x3"))])
def test_encoder_gradients(array: str, outputs: tuple[str, ...]) -> None:
    """The gradient block: -1 marks parameters that an output gives no gradient at all."""
    golden = Golden("04_resunet")
    encoder, maps = encode(golden, torch.float32)
    probes = [golden.tensor(f"resunet.probe.{i}", tuple(maps[n].shape)) for i, n in enumerate(outputs)]
    sum((maps[name] * probe).sum() for name, probe in zip(outputs, probes, strict=True)).backward()
    norms = {released_name(f"encoder.{n}")[1]: p.grad for n, p in encoder.named_parameters()}
    ours = torch.tensor([-1.0 if norms[n] is None else norms[n].norm() for n in golden.meta["gradnorm_names"]])
    expected = golden[f"out/gradnorm_{array}"]
    assert torch.equal(ours == -1, expected == -1)
    assert_norms_close(ours[expected != -1], expected[expected != -1], 1e-3)


def test_feature_pyramid() -> None:
    golden = Golden("04_fpn")
    inputs = [golden.hashed(text) for text in golden.meta["inputs"]]
    pyramid = FeaturePyramid(tuple(x.shape[1] for x in inputs), golden.meta["output_shape"][1] // 4)
    load_released(pyramid, "fpn", golden.seed)
    output = pyramid(tuple(inputs))
    assert list(output.shape) == golden.meta["output_shape"]
    assert_close(output[:, :, ::8, ::8], golden["out/sub"], 1e-5, floor=0)
    assert_close(output[:, ::8, :5, :5], golden["out/corner"], 1e-5, floor=0)
    assert_close(output.double().mean((-1, -2)), golden["out/mean_f64"], 1e-5)
    assert_close(output.double().std((-1, -2), correction=0), golden["out/std_f64"], 1e-5)


@pytest.mark.parametrize("case", [name for name in Golden("04_semhead").meta if name.startswith("nc")])
def test_head(case: str) -> None:
    golden = Golden("04_semhead")
    features = golden.hashed(golden.meta["input"])
    settings = golden.meta[case]
    head = PerceptionHead(features.shape[1], 128, settings["output_shape"][1])
    load_released(head, "head", golden.seed)
    with torch.no_grad():
        output = head(features)
    assert list(output.shape) == settings["output_shape"]
    stride = settings["stride"]
    assert_close(output[..., ::stride, ::stride], golden[f"out/{case}_sub"], 1e-5, floor=0)
    assert_close(output[..., -6:, -6:], golden[f"out/{case}_corner"], 1e-5 * 1.5, floor=float(output.abs().max()))
    assert_close(output.double().mean((-1, -2)), golden[f"out/{case}_mean_f64"], 1e-5)
    assert_close(output.double().std((-1, -2), correction=0), golden[f"out/{case}_std_f64"], 1e-5)
