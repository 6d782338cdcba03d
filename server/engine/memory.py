"""Gives free memory back to the system: glibc keeps what its threads have freed, in arenas of their own.

After a thousand connections that is up to thirty megabytes. With another C library nothing is done. This module does
not know what the connections are for.
"""

import contextlib
import time
from collections.abc import Callable
from functools import cache

_MANY = 50
_PERIOD = 1.0  # seconds
_TIMES = 4  # after its last connection a thread waits two seconds for another, and only then frees its memory


class Memory:
    """Decides when to give memory back, by how many connections have ended; for one thread."""

    def __init__(self) -> None:
        self._served = 0
        self._times = 0
        self._next = 0.0

    def heed(self, served: int, connections: int) -> None:
        """Give memory back if many connections have ended; call this now and then.

        `served` counts all connections so far, also those that came and went between two calls.
        """
        if served - self._served - connections >= _MANY:
            self._served = served - connections
            self._times = _TIMES
        if self._times and time.monotonic() >= self._next:
            self._times -= 1
            self._next = time.monotonic() + _PERIOD
            give_back()


def give_back() -> None:
    """Ask the C library to give its free memory back."""
    with contextlib.suppress(OSError):  # no descriptor is free to load the library with; a later call tries again
        _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    import ctypes  # costs a megabyte, and most servers never need it

    return getattr(ctypes.CDLL(None), "malloc_trim", int)
