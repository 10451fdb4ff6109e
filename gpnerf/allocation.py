"""How this process uses memory on a CPU."""

import ctypes
import logging

_log = logging.getLogger(__name__)

# mallopt's names of these settings (malloc.h), and their largest values.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_LARGEST_THRESHOLD = 32 * 1024 * 1024


def keep_freed_memory() -> None:
    """Keep freed memory for the next tensors instead of handing it back to the system; nothing where that is not glibc.

    Networks on a CPU free and take a few megabytes at every operation. Handed back, each page has to be cleared and
    mapped anew, which took half of the time of rendering.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        _log.debug("no mallopt here: freed memory goes back to the system")
        return
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
