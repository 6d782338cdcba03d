"""Giving memory back to the system: glibc keeps what many threads have freed, each in an arena of its own.

After a thousand connections that is up to thirty megabytes. Elsewhere than with glibc nothing is done.
"""

import contextlib
import time
from collections.abc import Callable
from functools import cache

_MANY = 50
_PERIOD = 1.0
_TIMES = 4  # the threads of connections that have ended wait two seconds for others


class Memory:
    """Watches connections come and go; for one thread."""

    def __init__(self) -> None:
        self._served = 0
        self._times = 0
        self._next = 0.0

    def heed(self, served: int, connections: int) -> None:
        """To be called now and then: after many connections of which most have ended, memory is given back.

        `served` counts all there have been, those that came and went between two calls as well.
        """
        if served - self._served - connections >= _MANY:
            self._served = served - connections
            self._times = _TIMES
        if self._times and time.monotonic() >= self._next:
            self._times -= 1
            self._next = time.monotonic() + _PERIOD
            give_back()


def give_back() -> None:
    with contextlib.suppress(OSError):  # there are no descriptors to load the library with: another time, then
        _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    import ctypes  # takes a megabyte, and most servers never come here

    return getattr(ctypes.CDLL(None), "malloc_trim", int)
