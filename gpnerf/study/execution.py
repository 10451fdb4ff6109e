"""Carries out the runs of a study, several at once, each in processes of its own."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gpnerf.errors import tells_stop
from gpnerf.study.plan import Run

_log = logging.getLogger(__name__)

_PROGRAMS = ("train_gpnerf.py", "eval_gpnerf.py")
_REPOSITORY = Path(__file__).parents[2]


def carry_out(
    runs: Sequence[Run], jobs: int, ended: Callable[[Run, int | None], None], seconds: float | None = None
) -> None:
    """Train and evaluate the runs, `jobs` at a time; after each `ended` gets it and its exit code.

    The code is that of the program that failed, 0 if none did, None if a signal stopped the run. After `seconds`, and
    when this process is interrupted, the programs that still run are asked to stop, which saves what they have.
    """
    processes = _Processes(threads=max(1, (os.cpu_count() or 1) // jobs))
    bar = tqdm(total=len(runs), desc="study", unit="run")
    with logging_redirect_tqdm(), bar, ThreadPoolExecutor(jobs) as pool, processes.stopped_at_the_end():
        going = {pool.submit(processes.complete, run): run for run in runs}
        try:
            for future in as_completed(going, timeout=seconds):
                ended(going[future], future.result())
                bar.update()
        except TimeoutError:
            _log.info("time is up: the runs that are going on save and stop")


class _Processes:
    """The processes that are running, from any thread."""

    def __init__(self, threads: int) -> None:
        # Programs that share a machine would get in each other's way with as many threads each as it has cores.
        self._environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._stopping = False

    def complete(self, run: Run) -> int | None:
        """Train and evaluate a run."""
        run.log.parent.mkdir(parents=True, exist_ok=True)
        for program in _PROGRAMS:
            _log.info("%s from seed %d: %s, %s", run.row.name, run.seed, program, run.log)
            code = self._run([sys.executable, str(_REPOSITORY / program), *run.flags], run.log)
            if code != 0:
                return code
        return 0

    @contextmanager
    def stopped_at_the_end(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._stopping = True
                for process in self._running:
                    process.terminate()

    def _run(self, command: list[str], log: Path) -> int | None:
        with log.open("ab") as file:
            with self._lock:
                if self._stopping:
                    return None
                process = subprocess.Popen(
                    command, env=self._environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL
                )
                self._running.add(process)
            code = process.wait()
        with self._lock:
            self._running.discard(process)
            return None if self._stopping or tells_stop(code) else code
