"""Ray attention over rows of tokens: the same numbers as `models.attention.RayAttention`, with fewer copies."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gpnerf.models.attention import RayAttention


def ray_attention(
    attention: RayAttention, x: Float[Tensor, "tokens width"], samples: int, rays: int
) -> tuple[
    Float[Tensor, "tokens width"], Float[Tensor, "rays heads queries samples"], Float[Tensor, "rays heads samples"]
]:
    """Attended values of all heads, the attention (after dropout) of queries, and that of the first query.

    Tokens are ordered samples, rays. The mean of the second result over its queries is the attention's mean over all
    samples: they may be all of them, as here, or that mean alone.
    """
    scale = (x.shape[-1] // attention.heads) ** -0.5
    weights = (attention.query.weight * scale, attention.key.weight, attention.value.weight)
    # Samples first: rays and heads merge into the batch of one matrix product without a copy.
    query, key, value = (
        F.linear(x, weight).view(samples, rays * attention.heads, -1).transpose(0, 1) for weight in weights
    )
    weights_of_keys = attention.dropout(torch.softmax(query @ key.transpose(1, 2), dim=-1))
    joined = (weights_of_keys @ value).transpose(0, 1).reshape(x.shape)
    rows = weights_of_keys.view(rays, attention.heads, samples, samples)
    return joined, rows, rows[:, :, 0]
