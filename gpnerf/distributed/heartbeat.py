"""Notices that another process of the run is gone, whatever this one is doing."""

import logging
import os
import threading
import time
from collections.abc import Callable

from torch.distributed import Store

_log = logging.getLogger(__name__)

# A dead process is noticed within their sum, which is well below a minute.
_INTERVAL = 5.0
_PATIENCE = 35.0
_DONE = 2**40
_LOST = 2


class Heartbeat:
    """A thread that counts up this process's number in the shared store and watches the others' numbers.

    When one stands still for `patience` seconds, or the store is gone, it says so and ends this process: a collective
    operation on a GPU would wait for a dead process for as long as an evaluation may last.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        world_size: int,
        interval: float = _INTERVAL,
        patience: float = _PATIENCE,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._store, self._rank, self._world_size = store, rank, world_size
        self._interval, self._patience, self._end = interval, patience, end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat and to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the others that this process is done, and watch no longer."""
        self._stopping.set()
        self._thread.join()
        self._store.add(str(self._rank), _DONE)

    def _watch(self) -> None:
        others = [rank for rank in range(self._world_size) if rank != self._rank]
        seen = {rank: (0, time.monotonic()) for rank in others}
        while not self._stopping.wait(self._interval):
            try:
                self._store.add(str(self._rank), 1)
                beats = {rank: self._store.add(str(rank), 0) for rank in others}
            except RuntimeError:
                self._lose("the connection to the processes of this run is lost: its first process or machine is gone")
                return
            now = time.monotonic()
            seen = {rank: (beat, now) if beat != seen[rank][0] else seen[rank] for rank, beat in beats.items()}
            silent = [rank for rank, (beat, since) in seen.items() if beat < _DONE and now - since > self._patience]
            if silent:
                self._lose(f"process {silent[0]} of {self._world_size} has been silent for {self._patience:g} s")
                return

    def _lose(self, found: str) -> None:
        _log.error(
            "process %d ends: %s; see its messages; the same command goes on from the newest checkpoint",
            self._rank,
            found,
        )
        self._end(_LOST)
