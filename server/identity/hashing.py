"""A few threads that compute password hashes for all others, who take turns. It knows no passwords.

Each hash takes a core and megabytes. Threads of their own bound both: hashed by the threads of the connections, one
at a time, 19 MiB stayed behind with each of them in turn (glibc keeps an arena a thread): 144 MiB in a flood.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from common.errors import Busy, Stopping
from server.machine import Cores

_NICENESS = 3
_QUEUE = 16
_LONGEST_WAIT = 2.0
_PAUSE_WHEN_FULL = 1.0

_Result = TypeVar("_Result")


class HashWorkers:
    """As many as there are cores, but of a lower priority: who is logged in goes before who wants to be."""

    def __init__(
        self,
        count: int | None = None,
        queue: int = _QUEUE,
        longest_wait: float = _LONGEST_WAIT,
        pause_when_full: float = _PAUSE_WHEN_FULL,
        cores: Cores | None = None,
    ) -> None:
        """`cores` are those to compute on, which may be more than the rest of the process keeps to."""
        cores = cores or Cores()
        count = count or len(cores)
        turns = count + 1  # one more, who reads and writes the store while the others' hashes are computed
        self._turns = threading.Semaphore(turns)
        self._places = threading.Semaphore(turns + queue)
        self._longest_wait = longest_wait
        self._pause_when_full = pause_when_full
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="hash", initializer=_settle, initargs=(cores,))
        # All are started now, when there is room for them.
        started = threading.Barrier(count)
        list(self._threads.map(lambda _: started.wait(), range(count)))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Inside, `run` waits no longer than a hash takes.

        Raises Busy if too many wait already, or the turn has not come in time.
        """
        if not self._places.acquire(blocking=False):
            # Whoever is told at once asks again at once, and each question costs something.
            self._closed.wait(self._pause_when_full)
            raise _busy()
        try:
            if not self._turns.acquire(timeout=self._longest_wait):
                raise _busy()
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()

    def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """What the function returns or raises; Stopping if it could not begin before the end."""
        try:
            return self._threads.submit(function, *arguments).result()
        except CancelledError:
            raise Stopping from None
        except RuntimeError:
            if self._closed.is_set():
                raise Stopping from None
            raise

    def close(self) -> None:
        """End the threads; what has begun is finished, what waits is not begun, and raises Stopping."""
        self._closed.set()
        self._threads.shutdown(cancel_futures=True)


def _settle(cores: Cores) -> None:
    """In each thread, before its first hash."""
    cores.use_all()
    if sys.platform == "linux":  # where threads have priorities of their own; elsewhere this would be the process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _busy() -> Busy:
    return Busy("busy, try again in a moment")
