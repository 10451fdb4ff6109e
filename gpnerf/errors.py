"""The one exception that means "the user can mend this", shown as a single line instead of a traceback."""

import logging
import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input: the message names the file (and frame), what was expected, what was found and what to do."""


def run_script(main: Callable[[], None]) -> None:
    """Run an entry script's `main`; a `UserError` ends it with one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S")
    try:
        main()
    except UserError as error:
        sys.exit(_one_line(error))


def _one_line(error: UserError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2
