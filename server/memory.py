"""Giving memory back to the system: glibc keeps what many threads have freed, each in an arena of its own.

After a thousand connections that is up to thirty megabytes. Elsewhere than with glibc nothing is done.
"""

import time
from collections.abc import Callable
from functools import cache

_MANY = 50
_PERIOD = 1.0
_TIMES = 4  # the threads of connections that have ended wait two seconds for others


class Memory:
    """Watches how many connections there are; for one thread."""

    def __init__(self) -> None:
        self._most = 0
        self._times = 0
        self._next = 0.0

    def heed(self, connections: int) -> None:
        """To be called now and then: when most of many connections have ended, memory is given back."""
        self._most = max(self._most, connections)
        if self._most >= _MANY and connections <= self._most // 2:
            self._most = connections
            self._times = _TIMES
        if self._times and time.monotonic() >= self._next:
            self._times -= 1
            self._next = time.monotonic() + _PERIOD
            give_back()


def give_back() -> None:
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    import ctypes  # takes a megabyte, and most servers never come here

    return getattr(ctypes.CDLL(None), "malloc_trim", int)
