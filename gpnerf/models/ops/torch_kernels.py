"""The functions that rendering spends its time in, as a set to choose, and the set in plain PyTorch."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from gpnerf.models.ops.ray_attention import ray_attention
from gpnerf.models.ops.view_attention import view_attention
from gpnerf.models.ops.weighted_read import weighted_read


def _layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return norm(x)


@dataclass(frozen=True)
class Kernels:
    """Functions with the arguments, results and gradients of the PyTorch ones, which are the defaults."""

    layer_norm: Callable[[nn.LayerNorm, Tensor], Tensor] = _layer_norm
    view_attention: Callable[..., tuple[Tensor, Tensor]] = view_attention
    ray_attention: Callable[..., tuple[Tensor, Tensor, Tensor]] = ray_attention
    weighted_read: Callable[..., tuple[Tensor, Tensor | None]] = weighted_read


TORCH = Kernels()
