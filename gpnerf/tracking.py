"""What a run leaves behind while it trains: TensorBoard curves and pictures, a text log, scalars as JSON lines."""

import contextlib
import json
import logging
import math
from collections.abc import Mapping
from logging.handlers import MemoryHandler
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gpnerf.errors import UserError
from gpnerf.storage import require_no_pipe, write_whole

_PACKAGE_LOGGER = logging.getLogger("gpnerf")


def hold_log() -> None:
    """From now on keep the package's log, for `write_log`: a run that fails before it starts leaves no folder."""
    close_log()
    _PACKAGE_LOGGER.addHandler(_RunLog())


def write_log(folder: Path) -> None:
    """Write what is kept of the log, and from now on all of it, to the `log.txt` of a run's folder."""
    for log in _run_logs():
        log.write_to(folder / "log.txt")


def close_log() -> None:
    """Finish the log of the run."""
    for log in _run_logs():
        _PACKAGE_LOGGER.removeHandler(log)
        log.close()


class _RunLog(MemoryHandler):
    """Keeps records until there is a file to write them to."""

    def __init__(self) -> None:
        super().__init__(capacity=1, flushLevel=logging.NOTSET, flushOnClose=False)

    def write_to(self, path: Path) -> None:
        if self.target is not None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        require_no_pipe(path)
        file = _File(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(message)s"))
        self.setTarget(file)
        self.flush()

    def close(self) -> None:
        target = self.target
        super().close()
        if target is not None:
            target.close()


class _File(logging.FileHandler):
    """Raises what `logging` would print between the program's own lines, as a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:
        raise


def _run_logs() -> list[_RunLog]:
    return [handler for handler in _PACKAGE_LOGGER.handlers if isinstance(handler, _RunLog)]


class Tracker:
    """Writes to `folder`: `losses.jsonl` and TensorBoard's files; nothing at all when not `enabled`.

    `step` is the step that the run continues from: what an interrupted run wrote beyond it is dropped, so that the
    curves of a run that was stopped and continued are those of a run that never stopped. Use it as a context manager
    or call `close`.
    """

    def __init__(self, folder: Path, enabled: bool, step: int = 0) -> None:
        self._enabled = enabled
        if not enabled:
            return
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only one process needs it

        folder.mkdir(parents=True, exist_ok=True)
        self._scalars_path = folder / "losses.jsonl"
        require_no_pipe(self._scalars_path)
        _drop_beyond(self._scalars_path, step)
        self._scalars_file = self._scalars_path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers of one step; every float is written in full, so that equal lines mean equal bits.

        TensorBoard has all that was recorded before when the line is in `losses.jsonl`. Raises `UserError` when the
        disk is full.
        """
        if not self._enabled:
            return
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()
        # JSON has no NaN and no infinity.
        numbers = {name: value if math.isfinite(value) else repr(value) for name, value in values.items()}
        try:
            self._scalars_file.write(json.dumps({"step": step, **numbers}) + "\n")
            self._scalars_file.flush()
        except OSError as error:
            raise UserError(f"{self._scalars_path}: cannot be written ({error.strerror}); free some space") from error

    def speed(self, step: int, values: Mapping[str, float]) -> None:
        """Record timings, in TensorBoard only: they differ from run to run, which `losses.jsonl` must not."""
        if self._enabled:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def image(self, step: int, name: str, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Record a picture of one step, 8-bit RGB."""
        if self._enabled:
            self._board.add_image(name, image, step, dataformats="HWC")

    def has(self, step: int, prefix: str) -> bool:
        """Whether numbers whose names begin so are recorded of a step."""
        if not self._enabled:
            return False
        lines = map(json.loads, self._scalars_path.read_text(encoding="utf-8").splitlines())
        return any(line["step"] == step and any(name.startswith(prefix) for name in line) for line in lines)

    def flush(self) -> None:
        """Bring everything that is recorded to the disk."""
        if self._enabled:
            self._board.flush()

    def close(self) -> None:
        """Finish the files."""
        if self._enabled:
            self._enabled = False
            with contextlib.suppress(OSError):  # a line that the disk had no room for was reported when it was written
                self._scalars_file.close()
            self._board.close()


def _drop_beyond(path: Path, step: int) -> None:
    """Keep only the whole lines of steps up to `step`; the file is replaced in one move."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if _step_of(line) <= step]
    write_whole(path, "".join(f"{line}\n" for line in kept))


def _step_of(line: str) -> float:
    """The step of a line; beyond every step for a line that was cut off while it was written."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf
