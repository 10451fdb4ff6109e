"""The arithmetic and memory traffic that rendering needs, counted by formula.

Two counts. `folded`: the exact network with consecutive linear maps multiplied out and the semantic features read
once, every pass by itself. `least`: also nothing twice, i.e. what depends on a point and a view alone is computed once
for the samples that both passes share, the embedding's first layer and the direction's encoding once per map and ray,
and pairs of sample and view whose weight is zero not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

_OCTAVES = 10
_ENCODED = 3 * (1 + 2 * _OCTAVES)  # numbers that a position or a direction is encoded to
_CORNERS = 4  # of a bilinear read
_PROJECTION = 9  # a 3x3 matrix times a point


@dataclass(frozen=True)
class Network:
    """The numbers that decide the work of a ray; `shared` tells whether both passes have one network.

    `colour` and `semantic` are channels of what is read from the source views, photo included.
    """

    width: int
    depth: int
    colour: int
    semantic: int
    samples: int
    importance: int
    views: int
    shared: bool

    @property
    def hidden(self) -> int:
        """Width of the hidden layer of the view attention's networks."""
        return self.width // 8

    @property
    def passes(self) -> tuple[int, ...]:
        """Samples of each pass."""
        return (self.samples, self.samples + self.importance) if self.importance else (self.samples,)


@dataclass(frozen=True)
class Term:
    """A part of the work: multiply-adds a ray, and whether they are a matrix product."""

    name: str
    multiply_adds: int | float
    matrix: bool = True


def folded(network: Network, semantics: bool) -> list[Term]:
    """The terms of a ray when every pass is computed by itself."""
    samples = sum(network.passes)
    pairs = samples * network.views
    width = network.width
    every_pair = [
        Term("projection into the views", pairs * _PROJECTION),
        Term("reading colour features", pairs * _CORNERS * network.colour, matrix=False),
        Term("embedding, first layer", pairs * network.colour * width),
    ]
    even = (network.depth + 1) // 2
    entry = Term("position and direction", samples * even * (width + 2 * _ENCODED + width) * width)
    return [*every_pair, *_pairs(network, pairs, pairs), entry, *_rest(network, semantics, 1.0)]


def least(network: Network, semantics: bool, needed: float = 1.0) -> list[Term]:
    """The terms of a ray when nothing is computed twice; `needed` is the share of sample-view pairs that count."""
    # One network sees the coarse samples again among the fine ones.
    distinct = network.passes[-1] if network.shared else sum(network.passes)
    pairs, all_pairs = distinct * network.views * needed, sum(network.passes) * network.views * needed
    width, even = network.width, (network.depth + 1) // 2
    every_pair = [
        # Whether a pair counts is known only after its projection.
        Term("projection into the views", network.passes[-1] * network.views * _PROJECTION),
        Term("reading colour features", pairs * _CORNERS * width, matrix=False),
    ]
    entry = Term(
        "position and direction",
        sum(network.passes) * even * (width + width) * width + even * (distinct + 1) * _ENCODED * width,
    )
    return [*every_pair, *_pairs(network, pairs, all_pairs), entry, *_rest(network, semantics, needed)]


def multiply_adds(terms: list[Term], matrix_only: bool = False) -> float:
    """Their sum."""
    return float(sum(term.multiply_adds for term in terms if term.matrix or not matrix_only))


def counted_multiply_adds(run: Callable[[], object]) -> float:
    """Multiply-adds of the matrix products and convolutions that `run` performs, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops() / 2


def _pairs(network: Network, distinct: int | float, passed: int | float) -> list[Term]:
    """What every pair of sample and view takes: `distinct` pairs, `passed` counts those of both passes."""
    width, hidden, depth = network.width, network.hidden, network.depth
    return [
        Term("embedding, second layer", distinct * width * width),
        Term("keys to values and scores", distinct * depth * width * (width + hidden)),
        Term("relative directions", distinct * depth * hidden * (4 + width + hidden)),
        Term("scores, last layer", passed * depth * hidden * width),
        Term("sum over views", passed * depth * width, matrix=False),
    ]


def _rest(network: Network, semantics: bool, needed: float) -> list[Term]:
    """What every sample and every ray takes."""
    width, depth, samples = network.width, network.depth, sum(network.passes)
    squared = sum(n * n for n in network.passes)
    terms = [
        Term("view attention, queries and output", samples * depth * width * (network.hidden + width)),
        Term("ray attention, projections", samples * depth * 4 * width * width),
        Term("ray attention, scores and sums", depth * 2 * squared * width),
        Term("feed-forward layers", samples * depth * 2 * 8 * width * width),
        Term("colour", len(network.passes) * 3 * width),
    ]
    if not semantics:
        return terms
    pairs = network.passes[-1] * network.views * needed
    return [
        *terms,
        Term("reading semantic features", pairs * _CORNERS * network.semantic, matrix=False),
        Term("weighting semantic features", pairs * network.semantic, matrix=False),
        Term("adaptor", network.semantic**2),
    ]
