"""The two attentions of the renderer as they are defined: over source views (subtraction) and over the samples of a
ray (dot product). `models.ops` computes the same numbers faster."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

# The blocks' norms use a smaller epsilon than the final one; released weights depend on it.
BLOCK_NORM_EPS = 1e-6
_MASKED_SCORE = -1e9


class TwoLayers(nn.Module):
    """Linear, ReLU, Linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        return self.last(F.relu(self.first(x)))


class FeedForward(nn.Module):
    """Linear, ReLU, Linear with dropout after each."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return self.dropout(self.down(self.dropout(F.relu(self.up(x), inplace=True))))


class ViewAttention(nn.Module):
    """Subtraction attention of each sample over its source views, one weight per channel.

    keys K = Wk h, values V = Wv K (made from the projected key), positions p = MLP(relative direction);
    weights A = softmax over views of MLP(K - Q + p); output Wo sum_i A_i (V_i + p_i).
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        hidden = width // 8
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.position = TwoLayers(4, hidden, width)
        self.score = TwoLayers(width, hidden, width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        q: Float[Tensor, "rays samples width"],
        views: Float[Tensor, "rays samples views width"],
        relative: Float[Tensor, "rays samples views 4"],
        mask: Bool[Tensor, "rays samples views"],
    ) -> tuple[Float[Tensor, "rays samples width"], Float[Tensor, "rays samples views width"]]:
        """Attended features, and the attention weights after dropout."""
        key = self.key(views)
        position = self.position(relative)
        scores = self.score(key - self.query(q)[:, :, None] + position).masked_fill(~mask[..., None], _MASKED_SCORE)
        attention = self.dropout(torch.softmax(scores, dim=2))
        attended = (attention * (self.value(key) + position)).sum(dim=2)
        return self.dropout(self.out(attended)), attention


class RayAttention(nn.Module):
    """Multi-head self-attention over the samples of a ray."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "rays samples width"]
    ) -> tuple[Float[Tensor, "rays samples width"], Float[Tensor, "rays heads samples samples"]]:
        """Attended features, and the attention [ray, head, query sample, key sample] after dropout."""
        query, key, value = (self._split(project(x)) for project in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        attention = self.dropout(torch.softmax(scores, dim=-1))
        joined = (attention @ value).transpose(1, 2).flatten(2)
        return self.dropout(self.out(joined)), attention

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ViewBlock(nn.Module):
    """View attention and feed-forward, each with a residual connection."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=BLOCK_NORM_EPS)
        self.attention = ViewAttention(width, dropout)
        self.feed_forward_norm = nn.LayerNorm(width, eps=BLOCK_NORM_EPS)
        self.feed_forward = FeedForward(width, 4 * width, dropout)

    def forward(self, q: Tensor, views: Tensor, relative: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        attended, attention = self.attention(self.attention_norm(q), views, relative, mask)
        q = q + attended
        return q + self.feed_forward(self.feed_forward_norm(q)), attention


class RayBlock(nn.Module):
    """Ray attention and feed-forward, each with a residual connection."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=BLOCK_NORM_EPS)
        self.attention = RayAttention(width, heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(width, eps=BLOCK_NORM_EPS)
        self.feed_forward = FeedForward(width, 4 * width, dropout)

    def forward(self, q: Tensor) -> tuple[Tensor, Tensor]:
        attended, attention = self.attention(self.attention_norm(q))
        q = q + attended
        return q + self.feed_forward(self.feed_forward_norm(q)), attention
