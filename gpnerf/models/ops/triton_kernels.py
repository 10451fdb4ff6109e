"""The Triton kernels in the places of the PyTorch functions. Importing this module imports Triton."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gpnerf.models.attention import RayAttention
from gpnerf.models.ops import triton_attention, triton_gather, triton_norm, triton_ray_attention
from gpnerf.models.ops.ray_attention import ray_attention
from gpnerf.models.ops.torch_kernels import Kernels
from gpnerf.models.ops.view_attention import FoldedViewAttention, view_attention


def _layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return triton_norm.layer_norm(x, norm.weight, norm.bias, norm.eps)


def _view_attention(
    query: Float[Tensor, "tokens hidden"],
    views: Float[Tensor, "views tokens width"],
    places: Float[Tensor, "views tokens places"],
    unseen: Float[Tensor, "views tokens 1"],
    folded: FoldedViewAttention,
    kept: Float[Tensor, "views tokens width"] | None = None,
    save: bool = False,
) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "views tokens width"]]:
    if kept is not None:  # the kernel has no dropout
        return view_attention(query, views, places, unseen, folded, kept, save)
    of_views = torch.cat([folded.value, folded.score], dim=1)
    of_places = torch.cat([folded.place_value, folded.place_score], dim=1)
    both = torch.addmm(places.flatten(0, 1) @ of_places, views.flatten(0, 1), of_views)
    # The kernel is told of rays and samples: one ray of all tokens is the same.
    by_token = both.view(*views.shape[:2], -1).transpose(0, 1)[None]
    values, pre_score = by_token.split([folded.value.shape[1], folded.score.shape[1]], dim=-1)
    seen = (unseen == 0)[..., 0].T[None]
    attended, attention = triton_attention.view_attention(
        values, pre_score, query[None], folded.score_last[:-1].T, seen
    )
    assert attention is not None
    wide = torch.promote_types(attention.dtype, torch.float32)
    return attended[0], attention[0].transpose(0, 1).to(wide)


def _ray_attention(
    attention: RayAttention, x: Float[Tensor, "tokens width"], samples: int, rays: int
) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "rays heads 1 samples"], Float[Tensor, "rays heads samples"]]:
    if attention.dropout.training and attention.dropout.p:  # the kernel has none
        return ray_attention(attention, x, samples, rays)
    query, key, value = (
        F.linear(x, layer.weight).view(samples, rays, attention.heads, -1).permute(1, 2, 0, 3)
        for layer in (attention.query, attention.key, attention.value)
    )
    attended, mean, first = triton_ray_attention.ray_attention(query, key, value)
    return attended.permute(2, 0, 1, 3).reshape(x.shape), mean[:, :, None], first


def _weighted_read(
    maps: Float[Tensor, "views channels rows cols"],
    grid: Float[Tensor, "views samples rays 2"],
    render_weights: Float[Tensor, "views samples rays groups"],
    field_weights: Float[Tensor, "views samples rays groups"] | None,
) -> tuple[Float[Tensor, "rays channels"], Float[Tensor, "samples rays channels"] | None]:
    pixels = maps.permute(0, 2, 3, 1).contiguous()
    places = grid.transpose(1, 2)
    rendered = triton_gather.weighted_gather(pixels, places, render_weights.permute(2, 1, 0, 3))
    if field_weights is None:
        return rendered, None
    return rendered, triton_gather.gathered_field(pixels, places, field_weights.permute(2, 1, 0, 3)).transpose(0, 1)


TRITON = Kernels(_layer_norm, _view_attention, _ray_attention, _weighted_read)
