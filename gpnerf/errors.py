"""The one exception that means "the user can mend this", shown as a single line instead of a traceback."""

import errno
import logging
import sys
from collections.abc import Callable

_FAILED = 2
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class UserError(Exception):
    """Bad input: the message names the file (and frame), what was expected, what was found and what to do."""


def run_script(main: Callable[[], None]) -> None:
    """Run an entry script's `main`; a `UserError` or a full disk ends it with one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S")
    try:
        main()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        # Any of the many small writes of a run may be the one that the disk has no room for.
        if error.errno not in _DISK_FULL:
            raise
        _fail(f"{error.filename or 'a file of this run'}: cannot be written ({error.strerror}); free some space")


def _fail(message: str) -> None:
    # The text of another library's error may have come with line breaks.
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(_FAILED)
