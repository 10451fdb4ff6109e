"""Bounds on what a reader may take: time, after which it is taken for hanging, and memory."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 20.0  # on a busy machine; what waits for a pipe waits for ever
BYTES = 2**30  # on top of what the process has


class Hangs(BaseException):
    """Not an `Exception`, so that no reader takes it for a fault of the file."""


@contextmanager
def bounded(seconds: float = SECONDS, more: int = BYTES) -> Iterator[None]:
    """Inside, `Hangs` is raised when the time is over, and memory beyond the bound is refused."""

    def ring(*_: object) -> None:
        raise Hangs

    before, limits = signal.signal(signal.SIGALRM, ring), resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)
