"""Turns depth, labels, features and errors into pictures (uint8 RGB arrays)."""

import itertools

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

IGNORE_COLOUR = (48, 48, 48)
_PCA_TAIL = 0.01  # the share of pixels at either end that may saturate in a feature picture


def colour_picture(rgb: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """A colour image in [0, 1], clamped and rounded to 8 bits."""
    return (rgb.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def depth_picture(depth: Float[Tensor, "height width"], near: float, far: float) -> UInt8[np.ndarray, "height width 3"]:
    """Depth in metres, blue at `near` to red at `far`; black where it is unknown (0)."""
    picture = _colour_map((depth - near) / max(far - near, 1e-6), cv2.COLORMAP_TURBO)
    picture[(depth <= 0).cpu().numpy()] = 0
    return picture


def depth_limits(depth: Float[Tensor, "height width"]) -> tuple[float, float]:
    """Near and far (metres) that all but 1% of the known depths at either end lie between; 0 and 1 if none is known."""
    known = depth[depth > 0].float().cpu().numpy()
    near, far = np.percentile(known, (1, 99)).tolist() if known.size else (0.0, 1.0)
    return near, far


def error_picture(
    a: Float[Tensor, "channels height width"], b: Float[Tensor, "channels height width"], largest: float
) -> UInt8[np.ndarray, "height width 3"]:
    """The absolute difference, averaged over the channels: black at 0 to bright yellow at `largest` and above."""
    return _colour_map((a - b).abs().mean(dim=0) / largest, cv2.COLORMAP_INFERNO)


def label_picture(
    labels: Int64[Tensor, "height width"], palette: UInt8[np.ndarray, "classes 3"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Class ids in the colours of the palette; any other id (the ignore label) is dark grey."""
    ids = labels.cpu().numpy()
    other, colour_of_other = len(palette), np.array([IGNORE_COLOUR], dtype=np.uint8)
    return np.vstack([palette, colour_of_other])[np.where((ids < 0) | (ids >= other), other, ids)]


def class_palette(num_classes: int) -> UInt8[np.ndarray, "classes 3"]:
    """One colour a class: each as unlike the ones before it (and the ignore colour) as the eye can tell.

    The first colours of a long palette are those of a short one.
    """
    # Hue in degrees, saturation and value in [0, 1]: pale to strong, none as dark as the ignore colour.
    shades = np.array(list(itertools.product(range(40, 400, 10), (0.3, 0.5, 0.72), (0.95, 0.75, 0.58))), np.float32)
    shades[:, 0] %= 360
    candidates = cv2.cvtColor(shades[None], cv2.COLOR_HSV2RGB)
    seen = cv2.cvtColor(candidates, cv2.COLOR_RGB2LAB)[0]  # distances in Lab are differences as seen
    ignore = cv2.cvtColor(np.array([[IGNORE_COLOUR]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(seen - ignore, axis=1)
    chosen = [0]
    while len(chosen) < num_classes:
        distance = np.minimum(distance, np.linalg.norm(seen - seen[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return np.round(candidates[0, chosen[:num_classes]] * 255).astype(np.uint8)


def pca_picture(features: Float[Tensor, "channels height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """The three strongest principal components of a feature map as red, green and blue.

    The sign of a component is fixed (its largest entry is positive), so equal maps give equal pictures. To compare two
    maps, join them into one first.
    """
    channels, height, width = features.shape
    pixels = features.detach().double().reshape(channels, -1).T.cpu()
    pixels = pixels - pixels.mean(dim=0)
    axes = torch.linalg.eigh(pixels.T @ pixels).eigenvectors.flip(1)[:, :3]
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    components = torch.zeros(height * width, 3, dtype=torch.float64)
    components[:, : axes.shape[1]] = pixels @ axes
    low, high = components.quantile(_PCA_TAIL, dim=0), components.quantile(1 - _PCA_TAIL, dim=0)
    # A map without variation is grey; without the floor its rounding noise would look like structure.
    scale = (high - low).clamp(min=1e-6 * features.abs().max().item() + 1e-12)
    scaled = 0.5 + (components - (low + high) / 2) / scale
    return colour_picture(scaled.T.reshape(3, height, width))


def _colour_map(values: Float[Tensor, "height width"], colours: int) -> UInt8[np.ndarray, "height width 3"]:
    grey = (values.detach().float().nan_to_num(0).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(cv2.applyColorMap(grey, colours)[..., ::-1])
