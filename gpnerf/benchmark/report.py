"""The results as tables to read."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gpnerf.benchmark.timing import Result

_GIGA, _MIB = 1e9, 2**20

Row = tuple[str, ...]


def tables(report: Mapping[str, Any], results: Mapping[str, Result]) -> str:
    """All that was measured; parts that were left out have no table."""
    parts = (_times(results), _works(report), list(_rest(report)))
    return "\n\n".join(_aligned(rows) for rows in parts if rows)


def _times(results: Mapping[str, Result]) -> list[Row]:
    """Medians of every comparison, on the clock and of the processor."""
    rows: list[Row] = []
    for job, result in results.items():
        rows.append((job, "", "", "", ""))
        for place, (name, laps) in enumerate(result.laps.items()):
            compared = place == 0 and len(result.laps) == 2
            ratios = [f"{result.ratio(clock):.3f}" if compared else "" for clock in ("wall", "cpu")]
            rows.append((f"  {name}", *(f"{laps.median(clock):.4g}" for clock in ("wall", "cpu")), *ratios))
    return [("median seconds", "wall", "CPU", "ratio wall", "ratio CPU"), *rows] if rows else []


def _works(report: Mapping[str, Any]) -> list[Row]:
    """Counted work against the machine's rates."""
    rows: list[Row] = [
        (f"{name}: {count}", f"{seconds:.4g}", f"{share[count]:.1%}" if (share := work["achieved_share"]) else "")
        for name, work in report.get("workload", {}).items()
        for count, seconds in work["seconds_at_rates"].items()
    ]
    return [("work at this machine's rates", "seconds", "share"), *rows] if rows else []


def _rest(report: Mapping[str, Any]) -> Iterator[Row]:
    image = report.get("image")
    if image:
        yield from ((f"image, composed of chunks: {name}", f"{s:.4g} s") for name, s in image["seconds"].items())
        yield from ((f"  of which {name}", f"{s:.4g} s") for name, s in image["split"].items())
        yield from ((f"rays a second, {name}", f"{rate:.4g}") for name, rate in image["rays_per_second"].items())
        yield from ((name, f"{ratio:.3f}") for name, ratio in image["ratio"].items())
    yield from ((f"peak memory, {name}", f"{size / _MIB:.1f} MiB") for name, size in report.get("memory", {}).items())
    yield from ((name, f"{rate / _GIGA:.4g} G/s") for name, rate in report.get("rates", {}).items())
    yield from ((name, f"{rate:.4g}") for name, rate in report.get("loader", {}).items())
    for name, error in report.get("agreement", {}).items():
        yield f"fast against plain, {name}: largest difference", f"{error['largest']:.1e}"
        yield "  rays further apart than 1e-4", f"{error['share_above_1e-4']:.2%}"
    yield from ((f"share of {name} sample-view pairs", f"{share:.1%}") for name, share in report["scene"].items())


def _aligned(rows: Iterable[Row]) -> str:
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in listed
    )
