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
# What schedulers and launchers send before they kill, what Ctrl-C sends, and what a closed terminal sends.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_STOPPED = 128  # added to a signal's number: the exit code by which shells know it
# Where launchers say how many processes they started.
_PROCESSES = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
# How the libraries below PyTorch's collective operations complain, and how they do of a process that is gone.
_EXCHANGE = re.compile(
    r"gloo|nccl|TCPStore|c10d|(client|server) socket|waiting for clients|connection (closed|reset) by peer",
    re.IGNORECASE,
)
_LOST_PROCESS = re.compile(
    r"connection (closed|reset|refused)|broken pipe|timed? ?out|socket (was )?closed|failed to (connect|recv)|"
    r"remote process|remote error|waiting for clients|pair closure",
    re.IGNORECASE,
)
# Where in a library's source an error was raised; what its message ends with.
_SOURCE = re.compile(r"\[?(enforce fail at )?[\w./-]+\.(cc|cpp|cu|h|hpp):\d+\]?[,:]? ?")
_BACKTRACE = re.compile(r"^(Exception raised from|frame #)", re.MULTILINE)
_LONGEST = 400  # letters of a message that a library gave

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

    Not an `Exception`, so that no handler of errors takes it for one. `code` is the program's exit code.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = _STOPPED + number


def tells_stop(code: int) -> bool:
    """Whether the exit code of a script, as a shell or `subprocess` gives it, says that a signal stopped it."""
    return any(code in (_STOPPED + number, -number) for number in STOPPING)


class StopSignals:
    """Signals that ask to stop while a run has something to save: first noted, so that nothing is interrupted."""

    def __init__(self) -> None:
        self.came: signal.Signals | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Inside, a signal is only put into `came`."""
        with _handled(self._note, _heeded()):
            yield

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Inside, where everything is saved, a signal ends the program at once; so does one that came before."""
        with _handled(_stop, _heeded()):
            if self.came:
                _stop(self.came)
            yield

    def _note(self, number: int, _: FrameType | None) -> None:
        self.came = signal.Signals(number)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Inside, a signal ends the process as the system does it: for waits in which Python does not get to handle it."""
    with _handled(signal.SIG_DFL, _heeded()):
        yield


def run_script(main: Callable[[], None]) -> None:
    """Run an entry script's `main`; what the user can mend ends it with one line on stderr and exit code 2.

    That is a `UserError`, a full disk, a place that cannot be used, and what ends the exchange with the other processes
    of the run. SIGTERM, SIGINT and SIGHUP (which `nohup` keeps away) end it with a line that says how to go on and exit
    code 128 + their number.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S")
    heeded = _heeded()
    with _handled(signal.SIG_IGN, heeded):  # while it ends: a launcher's SIGTERM must not cut off the message
        try:
            with _handled(_stop, heeded):
                main()
        except Stopped as stop:
            _log.info("%s", stop)
            _leave(stop.code)
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
            if not _EXCHANGE.search(str(error)):
                raise
            _fail(_of_exchange(str(error)))


def _heeded() -> tuple[signal.Signals, ...]:
    """The signals to stop by: without SIGHUP where `nohup` started the program."""
    return tuple(n for n in STOPPING if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN)


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], object] | signal.Handlers, numbers: tuple[signal.Signals, ...]
) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _stop(number: int, _: FrameType | None = None) -> NoReturn:
    name = signal.Signals(number).name
    raise Stopped(f"stopped by {name}; the same command goes on from what is saved", number)


def _of_exchange(error: str) -> str:
    """The line for an error of the libraries that exchange what processes compute: in their words."""
    said = " ".join(_SOURCE.sub("", _BACKTRACE.split(error)[0]).split())[:_LONGEST].rstrip(" .:")
    ending = "the same command goes on from what is saved"
    if _LOST_PROCESS.search(error):
        return f"another process of this run has ended or cannot be reached ({said}); see its messages; {ending}"
    return f"the exchange between the processes of this run failed: {said}; {ending}"


def _fail(message: str) -> NoReturn:
    # The text of another library's error may have come with line breaks.
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    _leave(_FAILED)


def _leave(code: int) -> NoReturn:
    if any(int(os.environ.get(name) or 1) > 1 for name in _PROCESSES):
        os._exit(code)  # a regular end could wait for exchanges with processes that are gone
    sys.exit(code)
