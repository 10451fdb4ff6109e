"""Several scenes at once: a scene that fails is noted and the others go on."""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gpnerf.errors import UserError

# What is told of a scene in one line of the table: column -> cell.
Cells = Mapping[str, object]

T = TypeVar("T")


def prepare_scenes(
    names: Sequence[str], prepare: Callable[[str, Event], Cells], jobs: int
) -> tuple[dict[str, Cells], dict[str, str]]:
    """Run `prepare(name, stop)` for every scene, `jobs` of them side by side; done ones and the faults of the others.

    When the program is told to end, `stop` is set, which ends what iterates by `until`. Threads suffice: reading,
    unpacking and encoding all let other threads run.
    """
    stop, done, faults = Event(), dict[str, Cells](), dict[str, str]()
    with logging_redirect_tqdm(), tqdm(total=len(names), desc="prepare", unit="scene") as bar:
        pool = ThreadPoolExecutor(jobs)
        futures: dict[Future[Cells], str] = {pool.submit(prepare, name, stop): name for name in names}
        try:
            for future in as_completed(futures):
                try:
                    done[futures[future]] = future.result()
                except (UserError, OSError) as error:
                    faults[futures[future]] = _fault(error)
                bar.update()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return _in_order(done, names), _in_order(faults, names)


def until(stop: Event, items: Iterable[T]) -> Iterator[T]:
    """The items, ended by an error when `stop` is set."""
    for item in items:
        if stop.is_set():
            raise CancelledError
        yield item


def summary(done: Mapping[str, Cells], faults: Mapping[str, str]) -> str:
    """A Markdown table with a line for each prepared scene, and a line for each fault."""
    columns = ["scene", *next(iter(done.values()), {})]
    lines = [[name, *map(str, cells.values())] for name, cells in done.items()]
    lines = [columns, ["---"] * len(columns), *lines] if lines else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    table = [f"| {' | '.join(line)} |" for line in padded]
    return "\n".join([*table, *(f"failed: {name}: {fault}" for name, fault in faults.items())])


def refuse_faults(faults: Mapping[str, str], total: int) -> None:
    """End the program with an error if scenes failed."""
    if faults:
        raise UserError(
            f"{len(faults)} of {total} scenes failed ({', '.join(faults)}): mend what is said of them and run the same "
            "command again, it keeps the others"
        )


def _in_order(results: dict[str, T], names: Sequence[str]) -> dict[str, T]:
    return {name: results[name] for name in names if name in results}


def _fault(error: UserError | OSError) -> str:
    if isinstance(error, UserError):
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise error  # the other scenes have no room either
    return f"{error.filename or 'a file of this scene'}: expected to read or write it, found: {error.strerror or error}"
