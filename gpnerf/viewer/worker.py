"""A thread that renders for one visitor what the refinement asks for."""

import logging
import threading
import time
from collections.abc import Callable

from gpnerf.models.gpnerf import GPNeRF
from gpnerf.rendering import Chunking
from gpnerf.structures import ImageOutput
from gpnerf.viewer.look import Look
from gpnerf.viewer.refinement import Job, Refinement

_log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Ends the rendering of a picture that is no longer worth its time."""


class InterruptibleChunking(Chunking):
    """Chunks of rays before each of which a rendering may be given up."""

    def __init__(self, rays: int, cancelled: Callable[[], bool]) -> None:
        super().__init__(rays)
        self.cancelled = cancelled

    def size(self, model: GPNeRF, views: int) -> int:
        if self.cancelled():
            raise Cancelled
        return super().size(model, views)


# Renders a look at a level; asks the function given now and then, and raises `Cancelled` when it says so.
Render = Callable[[Look, int, Callable[[], bool]], ImageOutput]


class Worker:
    """Renders in a thread until it is stopped; `show` gets each picture, there too."""

    def __init__(self, refinement: Refinement[Look], render: Render, show: Callable[[ImageOutput], None]) -> None:
        self._refinement, self._render, self._show = refinement, render, show
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def look(self, look: Look) -> None:
        """The visitor looks from here now."""
        with self._changed:
            self._refinement.moved(look, time.monotonic())
            self._changed.notify()

    def stop(self) -> None:
        """End the thread, and what it is rendering, if it can be given up."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while job := self._next_job():
            try:
                output = self._render(job.camera, job.level, lambda job=job: self._given_up(job))  # type: ignore[misc]
            except Cancelled:
                continue
            except Exception as error:  # of a frame, of the memory: the next picture may be fine
                _log.error("%s", error)
                self._finish(job)
                continue
            self._finish(job)
            try:
                self._show(output)
            except Exception as error:  # a visitor who has just gone
                _log.error("a picture could not be shown: %s", error)

    def _next_job(self) -> Job[Look] | None:
        """Wait for the next picture that is due; None when the worker is stopped."""
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                if job := self._refinement.next_job(now):
                    return job
                due = self._refinement.due_at()
                self._changed.wait(None if due is None else due - now)
        return None

    def _given_up(self, job: Job[Look]) -> bool:
        with self._changed:
            return self._stopped or self._refinement.cancelled(job)

    def _finish(self, job: Job[Look]) -> None:
        with self._changed:
            self._refinement.done(job)
