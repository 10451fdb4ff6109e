"""Encoder, feature pyramid and head against the golden numbers."""

import pytest
import torch
from golden_files import (
    FOLDER,
    Golden,
    assert_close,
    assert_norms_close,
    assert_thinned_close,
    official_shapes,
    thinned,
)
from golden_models import encoder, load_released
from torch import Tensor

from gpnerf.checkpoint.released import released_name
from gpnerf.models.encoder import Encoder
from gpnerf.models.fpn import FeaturePyramid
from gpnerf.models.heads import PerceptionHead

HEAD = Golden("04_semhead")
ENCODERS = sorted(path.stem for path in FOLDER.glob("04_resunet*.npz"))
PYRAMID = ("x0", "x1", "x2", "x3")


def encode(golden: Golden, dtype: torch.dtype) -> tuple[Encoder, dict[str, Tensor]]:
    network = encoder(golden.seed).to(dtype)
    pyramid = network.pyramid(golden.hashed(golden.meta["input"]).to(dtype))
    colour = network.decode(pyramid)
    maps = dict(zip(("coarse", *PYRAMID), (colour, *pyramid), strict=True))
    assert {name: list(output.shape) for name, output in maps.items()} == golden.meta["output_shapes"]
    return network, maps


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(
    ("dtype", "prefix", "tolerance"), [(torch.float32, "out", 5e-5), (torch.float64, "out64", 1e-6)]
)
def test_encoder(name: str, dtype: torch.dtype, prefix: str, tolerance: float) -> None:
    """Image sizes that are multiples of 16, and others, where the skip connections are padded."""
    golden = Golden(name)
    maps = encode(golden, dtype)[1]
    parts = [key.removeprefix("out64/") for key in golden.keys("out64/")]  # "x0_sub", ...
    assert {part.split("_")[0] for part in parts} == set(maps)
    for part in parts:
        assert_thinned_close(golden, f"{prefix}/{part}", maps[part.split("_")[0]], tolerance, floor=0)
    for part, output in maps.items():
        pixels = output.double().flatten(2)
        # The stored statistics are those of the float32 run.
        assert_close(pixels.mean(-1), golden[f"out/{part}_mean_f64"], 5e-5)
        assert_close(pixels.std(-1, correction=0), golden[f"out/{part}_std_f64"], 5e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("array", "outputs"), [("coarse", ("coarse",)), ("pyramid", PYRAMID)])
def test_encoder_gradients(array: str, outputs: tuple[str, ...]) -> None:
    """The gradient block: -1 marks parameters that an output gives no gradient at all."""
    golden = Golden("04_resunet")
    network, maps = encode(golden, torch.float64)
    probes = [golden.tensor(f"resunet.probe.{i}", tuple(maps[n].shape)) for i, n in enumerate(outputs)]
    sum((maps[name] * probe).sum() for name, probe in zip(outputs, probes, strict=True)).backward()
    norms = {released_name(f"encoder.{n}")[1]: p.grad for n, p in network.named_parameters()}
    ours = torch.tensor([-1.0 if norms[n] is None else norms[n].norm() for n in golden.meta["gradnorm_names"]])
    expected = golden[f"out/gradnorm_{array}"]
    assert torch.equal(ours == -1, expected == -1)
    assert_norms_close(ours[expected != -1], expected[expected != -1], 1e-3)


@pytest.mark.usefixtures("float64")
def test_feature_pyramid() -> None:
    golden = Golden("04_fpn")
    inputs = [golden.hashed(text) for text in golden.meta["inputs"]]
    pyramid = FeaturePyramid(tuple(x.shape[1] for x in inputs), golden.meta["output_shape"][1] // 4)
    load_released(pyramid, "fpn", golden.seed)
    output = pyramid(tuple(inputs))
    assert list(output.shape) == golden.meta["output_shape"]
    assert_thinned_close(golden, "out/sub", output, 1e-5, floor=0)
    rows, cols = golden["out/corner"].shape[-2:]
    assert_thinned_close(golden, "out/corner", output[..., :rows, :cols], 1e-5, floor=0)
    assert_close(output.double().mean((-1, -2)), golden["out/mean_f64"], 1e-5)
    assert_close(output.double().std((-1, -2), correction=0), golden["out/std_f64"], 1e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", [key[len("out/") : -len("_sub")] for key in HEAD.keys(end="_sub")])
def test_head(case: str) -> None:
    golden = HEAD
    features = golden.hashed(golden.meta["input"])
    settings = golden.meta[case]
    width = official_shapes("sem_seg_head")["predictor.weight"][1]
    head = PerceptionHead(features.shape[1], width, settings["output_shape"][1])
    load_released(head, "head", golden.seed)
    with torch.no_grad():
        output = head(features)
    assert list(output.shape) == settings["output_shape"]
    part, corner = golden[f"out/{case}_sub"], golden[f"out/{case}_corner"]
    assert_close(thinned(output, part, settings["stride"]), part, 5e-5, floor=0)
    rows, cols = corner.shape[-2:]
    assert_close(output[..., -rows:, -cols:], corner, 5e-5, floor=0)
    assert_close(output.double().mean((-1, -2)), golden[f"out/{case}_mean_f64"], 1e-5)
    assert_close(output.double().std((-1, -2), correction=0), golden[f"out/{case}_std_f64"], 1e-5)
