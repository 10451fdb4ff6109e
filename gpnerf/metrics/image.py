"""Scores of a rendered picture against the photo, and the 8-bit rounding that every scored picture goes through."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

_MSE_FLOOR = 1e-6  # caps the PSNR at 60 dB and guards the masked mean, as in IBRNet and GNT
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def to_uint8(rgb: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Colours in [0, 1], clamped and rounded to the nearest of 256 steps."""
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8)


def from_uint8(rgb: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The inverse of `to_uint8`: float32 colours in [0, 1]."""
    return rgb.float() / 255


def mse(
    a: Float[Tensor, "channels height width"],
    b: Float[Tensor, "channels height width"],
    mask: Shaped[Tensor, "height width"] | None = None,
) -> float:
    """Mean squared error over all pixels and channels, or over those that the mask (bool or weights) keeps."""
    squared = (a.double() - b.double()).square()
    if mask is None:
        return float(squared.mean())
    return float((squared * mask).sum() / (mask.double().sum() * a.shape[0] + _MSE_FLOOR))


def psnr(
    a: Float[Tensor, "channels height width"],
    b: Float[Tensor, "channels height width"],
    mask: Shaped[Tensor, "height width"] | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB, -10 log10(mse + 1e-6), for colours in [0, 1]."""
    return -10 * math.log10(mse(a, b, mask) + _MSE_FLOOR)


def ssim(a: Float[Tensor, "channels height width"], b: Float[Tensor, "channels height width"]) -> float:
    """Structural similarity (Wang et al. 2004), averaged over pixels and channels, for colours in [0, 1].

    The window is an 11x11 Gaussian of sigma 1.5; zeros are padded around the picture, as in IBRNet and GNT.
    """
    a, b = a.double(), b.double()
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _SSIM_C1) / (mean_a**2 + mean_b**2 + _SSIM_C1)
    structure = (2 * covariance + _SSIM_C2) / (variance_a + variance_b + _SSIM_C2)
    return float((luminance * structure).mean())


def _blur(image: Float[Tensor, "channels height width"]) -> Float[Tensor, "channels height width"]:
    radius = _SSIM_WINDOW // 2
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-(offsets**2) / (2 * _SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()
    columns = F.conv2d(image[:, None], kernel[None, None, :, None], padding=(radius, 0))
    return F.conv2d(columns, kernel[None, None, None, :], padding=(0, radius))[:, 0]
