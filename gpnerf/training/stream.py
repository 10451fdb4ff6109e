"""The stream of examples as training sees it: without what cannot be read, and going on when a loader dies."""

import logging
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from gpnerf.errors import STOPPING, UserError
from gpnerf.structures import Example, FrameFailure
from gpnerf.training.state import TrainingState

_log = logging.getLogger(__name__)

Stream = Iterator[Example | FrameFailure]

# A training of days survives a few unreadable frames, but not a broken data set.
_TOLERATED_FAILURES = 5
_TOLERATED_SHARE = 0.01
# A loader process that dies (the machine was short of memory) is replaced, but not for ever.
_TOLERATED_DEATHS = 3
_EXAMPLES_TO_RECOVER = 1000


def readable(state: TrainingState, open_stream: Callable[[int], Stream]) -> Generator[Example]:
    """The examples from the `state.consumed`-th on, without those whose files cannot be read (logged and counted).

    Raises:
        UserError: too many frames cannot be read, or loader processes keep dying.
    """
    failures: list[str] = []
    for seen, item in enumerate(_unbroken(state, open_stream), start=1):
        state.consumed += 1
        if isinstance(item, Example):
            yield item
            continue
        failures.append(item.message)
        _log.warning("skipped (%d so far): %s", len(failures), item.message)
        if len(failures) > max(_TOLERATED_FAILURES, _TOLERATED_SHARE * seen):
            listed = "; ".join(sorted(set(failures)))
            raise UserError(f"{len(failures)} of {seen} examples could not be read, which is too many: {listed}")


def _unbroken(state: TrainingState, open_stream: Callable[[int], Stream]) -> Stream:
    """The stream, opened anew at the same place when a loader process dies: no example is lost or repeated."""
    deaths = 0
    while True:
        start = state.consumed
        try:
            with _shielded_start():
                stream = open_stream(start)
            yield from stream
            return
        except (RuntimeError, OSError, EOFError) as error:
            if not _tells_death(error):
                raise
            deaths = 1 if state.consumed - start > _EXAMPLES_TO_RECOVER else deaths + 1
            reason = (str(error) or type(error).__name__).splitlines()[0]
            if deaths > _TOLERATED_DEATHS:
                raise UserError(
                    f"loader processes died {deaths} times ({reason}); the machine may be short of memory: "
                    "lower --num_workers or --cache_gb; the same command goes on from the newest checkpoint"
                ) from error
            _log.warning("a loader process died and is replaced (%s)", reason)
        finally:
            for loader in multiprocessing.active_children():  # they have nothing to lose, and block what is milder
                loader.kill()


def _tells_death(error: Exception) -> bool:
    """Whether a loader process was lost: PyTorch noticed it, or what it had made ready cannot be fetched from it."""
    if isinstance(error, RuntimeError):
        return str(error).startswith("DataLoader worker")
    # An error of reading a file names the file, and one that a loader reports starts with "Caught".
    lost = isinstance(error, EOFError | ConnectionError) or getattr(error, "filename", None) is None
    return lost and not str(error).startswith("Caught")


@contextmanager
def _shielded_start() -> Iterator[None]:
    """Processes started inside never see the signals to stop, which launchers and terminals send to whole groups: this
    process needs its loaders for the step after which it stops.
    """
    resource_tracker.ensure_running()  # starting it later would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
