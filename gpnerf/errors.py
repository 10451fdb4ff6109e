"""How a program ends before its work is done: by an error that the user can mend, or asked to by a signal."""

import errno
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_FAILED = 2
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# What a user's files and folders may be: read-only, of somebody else, a file where a folder should be, a name too long.
_PLACES = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)
_HEAD, _TAIL = 1200, 300  # characters of a message that would be longer
# What schedulers and launchers send before they kill, and what Ctrl-C sends.
_STOPPING = (signal.SIGTERM, signal.SIGINT)
# Where launchers say how many processes they started.
_PROCESSES = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
# How the libraries below PyTorch's collective operations complain of a process that is gone.
_LOST_PROCESS = re.compile(r"gloo|nccl|TCPStore|Connection (closed|reset) by peer", re.IGNORECASE)

_log = logging.getLogger(__name__)


class UserError(Exception):
    """Bad input: the message names the file (and frame), what was expected, what was found and what to do.

    It is one line, whatever of a file or of another library's error became part of it.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        most = _HEAD + _TAIL
        super().__init__(line if len(line) <= most else f"{line[:_HEAD]} ... {line[-_TAIL:]}")


class Stopped(BaseException):
    """A signal asked the program to end, and nothing is lost; the message says how to go on.

    Not an `Exception`, so that no handler of errors takes it for one.
    """


class StopSignals:
    """SIGTERM and SIGINT while a run has something to save: first noted, so that nothing is interrupted."""

    def __init__(self) -> None:
        self.came: str | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Inside, a signal only puts its name into `came`."""
        with _handled(self._note):
            yield

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Inside, where everything is saved, a signal ends the program at once; so does one that came before."""
        with _handled(_stop):
            if self.came:
                raise Stopped(_farewell(self.came))
            yield

    def _note(self, number: int, _: FrameType | None) -> None:
        self.came = signal.Signals(number).name


def run_script(main: Callable[[], None]) -> None:
    """Run an entry script's `main`; what the user can mend ends it with one line on stderr and exit code 2.

    That is a `UserError`, a full disk, a place that cannot be used, and the end of another process of the run. SIGTERM
    and SIGINT end it with a line that says how to go on and exit code 0.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S")
    with _handled(signal.SIG_IGN):  # while it ends: a launcher's SIGTERM must not cut off the message
        try:
            with _handled(_stop):
                main()
        except Stopped as stop:
            _log.info("%s", stop)
            _leave(0)
        except UserError as error:
            _fail(str(error))
        except OSError as error:
            # Any of the many small writes of a run may be the one that the disk has no room for.
            if error.errno in _DISK_FULL:
                name = error.filename or "a file of this run"
                _fail(f"{name}: cannot be written ({error.strerror}); free some space")
            if error.errno not in _PLACES or error.filename is None:
                raise
            _fail(f"{error.filename}: cannot be read or written ({error.strerror}); choose another place or name")
        except RuntimeError as error:
            if not _LOST_PROCESS.search(str(error)):
                raise
            _fail(
                f"another process of this run has ended or cannot be reached ({_complaint(error)}); "
                "see its messages; the same command goes on from what is saved"
            )


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in _STOPPING}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(_farewell(signal.Signals(number).name))


def _farewell(name: str) -> str:
    return f"stopped by {name}; the same command goes on from what is saved"


def _complaint(error: RuntimeError) -> str:
    """The first words of a library's error, without the place in its source."""
    return str(error).split(".cc:")[-1].split("] ", 1)[-1].splitlines()[0].split(". ")[0]


def _fail(message: str) -> NoReturn:
    # The text of another library's error may have come with line breaks.
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    _leave(_FAILED)


def _leave(code: int) -> NoReturn:
    if any(int(os.environ.get(name) or 1) > 1 for name in _PROCESSES):
        os._exit(code)  # a regular end could wait for exchanges with processes that are gone
    sys.exit(code)
