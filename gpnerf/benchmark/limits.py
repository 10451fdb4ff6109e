"""How far from the machine's limits measured work is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpnerf.benchmark.render import WITH, WITHOUT, Renderer
from gpnerf.benchmark.step import COLOUR
from gpnerf.benchmark.timing import Result
from gpnerf.benchmark.workload import Network, counted_multiply_adds, folded, least, multiply_adds

# A product's backward pass is two products of the same size: by the input and by the weight.
_STEP_OVER_FORWARD = 3
_OUTPUTS = 4  # colour and depth


@dataclass(frozen=True)
class Work:
    """What a measured run needs: multiply-adds by kind of count, bytes, and the seconds it took (if timed)."""

    multiply_adds: dict[str, float]
    bytes: float | None = None
    seconds: float | None = None

    def to_dict(self, rates: Mapping[str, float]) -> dict[str, Any]:
        """The counts, the seconds at the machine's rates, and the achieved shares of these rates."""
        at_rates = {
            f"{count}, {kind} matrix rate": needed / rates[f"{kind}_multiply_adds"]
            for kind in ("square", "tall")
            for count, needed in self.multiply_adds.items()
        }
        if self.bytes is not None:
            at_rates["bytes, copy rate"] = self.bytes / rates["copy_bytes"]
        shares = {} if self.seconds is None else {name: least / self.seconds for name, least in at_rates.items()}
        return {
            "multiply_adds": self.multiply_adds,
            "bytes": self.bytes,
            "measured_seconds": self.seconds,
            "seconds_at_rates": at_rates,
            "achieved_share": shares,
        }


def works(
    network: Network, fast: Renderer, needed: float, results: Mapping[str, Result], clock: str
) -> dict[str, Work]:
    """The counted work of the fixed rays, of the encoder and of the head, with the fast path's seconds if measured.

    `needed` is the share of the sample-view pairs that no exact renderer can skip. A step counts three times its
    forward pass; the optimiser is left out.
    """

    def seconds(job: str, task: str) -> float | None:
        return results[job].laps[task].median(clock) if job in results else None

    rays = len(fast.pixels)
    counts = {
        semantics: {
            "folded": rays * multiply_adds(folded(network, semantics)),
            "least": rays * multiply_adds(least(network, semantics, needed)),
        }
        for semantics in (True, False)
    }
    encoder = counted_multiply_adds(lambda: fast.encode(False))
    step = {name: _STEP_OVER_FORWARD * (count + encoder) for name, count in counts[False].items()}
    return {
        f"rays {WITH}": Work(counts[True], _bytes(fast, True), seconds("rays, fast", WITH)),
        f"rays {WITHOUT}": Work(counts[False], _bytes(fast, False), seconds("rays, fast", WITHOUT)),
        "encoder": Work({"counted": encoder}, seconds=seconds("encoding, fast", WITHOUT)),
        "encoder and pyramid": Work(
            {"counted": counted_multiply_adds(fast.encode)}, seconds=seconds("encoding, fast", WITH)
        ),
        "head": Work({"counted": counted_multiply_adds(fast.head)}, seconds=seconds("head", "fast")),
        f"step, {COLOUR}": Work(step, seconds=seconds("step, semantic losses", f"fast, {COLOUR}")),
    }


def terms(network: Network, needed: float) -> dict[str, dict[str, float]]:
    """Multiply-adds a ray with semantics, term by term."""
    return {
        name: {term.name: float(term.multiply_adds) for term in listed}
        for name, listed in (("folded", folded(network, True)), ("least", least(network, True, needed)))
    }


def _bytes(fast: Renderer, semantics: bool) -> float:
    """What must be moved if caches were endless: weights and maps in, once a chunk, and the outputs out."""
    maps = fast.maps
    read = [maps.images, maps.colour, *fast.model.renderer.parameters()]
    written = len(fast.pixels) * _OUTPUTS
    if semantics and maps.semantic is not None:
        read.append(maps.semantic)
        written += len(fast.pixels) * maps.semantic.shape[1]
    chunks = -(-len(fast.pixels) // fast.chunk_size)
    moved = chunks * sum(each.numel() * each.element_size() for each in read) + written * maps.images.element_size()
    return float(moved)
