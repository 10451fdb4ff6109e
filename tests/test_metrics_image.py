"""PSNR and SSIM against the golden numbers and scikit-image; 8-bit rounding; LPIPS with and without its backbone."""

import logging
import math
from pathlib import Path
from urllib.error import URLError

import lpips
import numpy as np
import pytest
import torch
from golden_files import Golden
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, vgg16

from gpnerf.metrics import perceptual
from gpnerf.metrics.image import from_uint8, mse, psnr, ssim, to_uint8
from gpnerf.metrics.perceptual import lpips_scorer

FILE = "07_psnr_ssim"
WEIGHTS = VGG16_Weights.IMAGENET1K_V1.url.rpartition("/")[2]


def pair(height: int = 40, width: int = 52, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    a = torch.rand(3, height, width, generator=generator)
    return a, (a + noise * torch.randn(a.shape, generator=generator)).clamp(0, 1)


def test_scores_golden() -> None:
    golden = Golden(FILE)
    a, mask = golden["in/a"].permute(2, 0, 1), golden["in/mask"]
    tags = [case["tag"] for case in golden.meta["cases"]]
    assert tags
    for tag in tags:
        b = golden[f"{tag}/in/b"].permute(2, 0, 1)
        assert mse(a, b) == pytest.approx(float(golden[f"{tag}/out/mse"]), abs=1e-8), tag
        assert mse(a, b, mask) == pytest.approx(float(golden[f"{tag}/out/mse_masked"]), abs=1e-8), tag
        assert psnr(a, b) == pytest.approx(float(golden[f"{tag}/out/psnr"]), abs=1e-4), tag
        assert psnr(a, b, mask) == pytest.approx(float(golden[f"{tag}/out/psnr_masked"]), abs=1e-4), tag
        assert ssim(a, b) == pytest.approx(float(golden[f"{tag}/out/ssim_hwc"]), abs=1e-5), tag


def test_psnr_agrees_with_scikit_image_up_to_the_floor() -> None:
    a, b = pair()
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1), abs=1e-3)
    assert psnr(a, a) == pytest.approx(60)


def test_masked_scores_see_only_what_is_kept() -> None:
    a, b = pair()
    mask = torch.zeros(a.shape[1:], dtype=torch.bool)
    mask[5:20, 7:30] = True
    outside_changed = torch.where(mask, b, 1 - b)
    assert psnr(a, outside_changed, mask) == psnr(a, b, mask)
    assert psnr(a, b, mask) == pytest.approx(psnr(a[:, 5:20, 7:30], b[:, 5:20, 7:30]), abs=1e-3)


def test_ssim_agrees_with_scikit_image_away_from_the_border() -> None:
    """scikit-image mirrors at the border where we pad zeros, so pictures that end in black all round must agree."""
    a, b = (nn.functional.pad(picture, (12, 12, 12, 12)) for picture in pair())
    expected = structural_similarity(
        a.double().numpy(), b.double().numpy(), channel_axis=0, data_range=1.0,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
    )[1].mean()  # fmt: skip
    assert ssim(a, b) == pytest.approx(expected, abs=1e-7)


def test_ssim_is_symmetric_and_falls_with_noise() -> None:
    a, slight = pair(noise=0.02)
    _, strong = pair(noise=0.3)
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a, slight) == pytest.approx(ssim(slight, a))
    assert 1 > ssim(a, slight) > ssim(a, strong)


def test_eight_bits_round_trip() -> None:
    steps = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(steps)), steps)
    assert to_uint8(torch.tensor([-0.5, 0.0, 0.49 / 255, 0.51 / 255, 1.0, 7.0])).tolist() == [0, 0, 0, 1, 255, 255]
    colours = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert float((from_uint8(to_uint8(colours)) - colours).abs().max()) <= 0.5 / 255 + 1e-6


# --- LPIPS ---


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty folder for downloaded weights, and no network made by an earlier test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    perceptual._network.cache_clear()
    yield tmp_path
    perceptual._network.cache_clear()


def test_without_backbone_the_score_is_none_and_one_line_says_how_to_get_it(
    torch_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def offline(url: str, *_: object, **__: object) -> None:
        tried.append(url)
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    random_state = torch.get_rng_state()
    a, b = pair()
    with caplog.at_level(logging.WARNING):
        assert lpips_scorer().score(a, b) is None
        assert lpips_scorer().score(a, b) is None
    assert tried == [VGG16_Weights.IMAGENET1K_V1.url]
    (record,) = caplog.records
    message = record.getMessage()
    assert "\n" not in message
    for part in (str(torch_home / "hub" / "checkpoints" / WEIGHTS), tried[0], "TORCH_HOME", "no network"):
        assert part in message
    assert torch.equal(torch.get_rng_state(), random_state)


def test_damaged_backbone_is_named(torch_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = torch_home / "hub" / "checkpoints" / WEIGHTS
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not weights")
    with caplog.at_level(logging.WARNING):
        assert lpips_scorer().score(*pair()) is None
    assert f"{path} is damaged, delete it" in caplog.text


@pytest.mark.slow
def test_lpips_loads_a_cached_backbone(torch_home: Path) -> None:
    """With random weights in the place of the trained ones: the file is found, and both scalings are right."""
    path = torch_home / "hub" / "checkpoints" / WEIGHTS
    path.parent.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(vgg16().state_dict(), path)
    (a, b), (_, far) = pair(noise=0.05), pair(noise=0.4)
    scorer = lpips_scorer()
    scaled, unscaled = scorer.score(a, b)
    network = lpips.LPIPS(net="vgg", verbose=False)
    with torch.no_grad():
        assert scaled == pytest.approx(float(network(a[None], b[None], normalize=True)), rel=1e-5)
        assert unscaled == pytest.approx(float(network(a[None], b[None])), rel=1e-5)
    assert not math.isclose(scaled, unscaled, rel_tol=1e-2)
    assert scorer.score(a, a) == (0, 0)
    assert scorer.score(a, far)[0] > scaled
    assert np.isfinite([scaled, unscaled]).all()
