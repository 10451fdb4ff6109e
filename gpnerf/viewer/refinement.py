"""Which picture to render next for a camera that moves and rests; knows no clock, thread or browser."""

from dataclasses import dataclass
from typing import Generic, TypeVar

_Camera = TypeVar("_Camera")


@dataclass(frozen=True)
class Job(Generic[_Camera]):
    """A picture to render: of what the camera saw after its `move`-th move, at a level (0: coarsest)."""

    camera: _Camera
    move: int
    level: int


class Refinement(Generic[_Camera]):
    """Coarse while the camera moves, then level by level finer once it has rested; a move starts again.

    A coarse picture is worth showing even when the camera has moved on, or nothing would be seen of a flight; a finer
    one is not. Times are seconds of any clock that does not go back.

    Args:
        levels: number of pictures from coarsest to finest.
        rest: seconds without a move before refining starts.
    """

    def __init__(self, levels: int, rest: float) -> None:
        self.levels = levels
        self.rest = rest
        self._camera: _Camera | None = None
        self._move = 0
        self._moved_at = 0.0
        self._next_level = levels

    def moved(self, camera: _Camera, now: float) -> None:
        """The camera is here now."""
        self._camera, self._moved_at = camera, now
        self._move += 1
        self._next_level = 0

    def due_at(self) -> float | None:
        """When the next picture may be rendered; None when all are."""
        if self._next_level == self.levels:
            return None
        return self._moved_at + (self.rest if self._next_level else 0.0)

    def next_job(self, now: float) -> Job[_Camera] | None:
        """The picture to render now, if one is due."""
        due = self.due_at()
        if self._camera is None or due is None or now < due:
            return None
        return Job(self._camera, self._move, self._next_level)

    def cancelled(self, job: Job[_Camera]) -> bool:
        """Whether a picture is no longer worth its time."""
        return job.level > 0 and job.move != self._move

    def done(self, job: Job[_Camera]) -> None:
        """The picture has been rendered."""
        if job.move == self._move:
            self._next_level = job.level + 1
