"""A few threads that compute all password hashes of a process. The connections take turns. It knows no passwords.

A hash takes a core and megabytes of memory, and a few threads bound both. When each connection hashed in its own
thread, even one at a time, 19 MiB stayed with each thread (glibc keeps an arena per thread): 144 MiB in a flood.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from common.errors import Busy, Stopping
from server.machine import Cores

_NICENESS = 3
_QUEUE = 16
_LONGEST_WAIT = 2.0  # seconds
_PAUSE_WHEN_FULL = 1.0  # seconds

_Result = TypeVar("_Result")


class HashPool:
    """One thread per core, at a lower priority: logged-in users have priority over logins."""

    def __init__(
        self,
        count: int | None = None,
        queue: int = _QUEUE,
        longest_wait: float = _LONGEST_WAIT,
        pause_when_full: float = _PAUSE_WHEN_FULL,
        cores: Cores | None = None,
    ) -> None:
        """Start `count` threads on `cores`, which may be more cores than the rest of the process uses.

        `queue` callers may wait for a turn, `longest_wait` seconds each. With a full queue a caller is refused after
        `pause_when_full` seconds.
        """
        cores = cores or Cores()
        count = count or len(cores)
        turns = count + 1  # one more: its holder uses the store while the hashes of the others are computed
        self._turns = threading.Semaphore(turns)
        self._queue = threading.Semaphore(turns + queue)
        self._longest_wait = longest_wait
        self._pause_when_full = pause_when_full
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(
            count, thread_name_prefix="hash", initializer=_set_up_thread, initargs=(cores,)
        )
        # All threads start now: during a flood the system could refuse them.
        started = threading.Barrier(count)
        list(self._threads.map(lambda _: started.wait(), range(count)))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a turn inside, so that `run` waits no longer than one hash takes.

        Raise Busy if the queue is full or the turn does not come in time.
        """
        if not self._queue.acquire(blocking=False):
            # A client that is refused at once asks again at once, and each attempt has a cost.
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
            self._queue.release()

    def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Run `function` in the pool and return its result. Raise Stopping if the pool closes before it begins."""
        try:
            return self._threads.submit(function, *arguments).result()
        except CancelledError:
            raise Stopping from None
        except RuntimeError:
            if self._closed.is_set():
                raise Stopping from None
            raise

    def close(self) -> None:
        """Finish the hashes that have begun and end the threads. A call of `run` that still waits raises Stopping."""
        self._closed.set()
        self._threads.shutdown(cancel_futures=True)


def _set_up_thread(cores: Cores) -> None:
    """Set the cores and the priority of a thread before its first hash."""
    cores.use_all()
    if sys.platform == "linux":  # only here a thread has its own priority; elsewhere nice() changes the process
        with suppress(OSError):  # without the lower priority hashing works as well
            os.nice(_NICENESS)


def _busy() -> Busy:
    return Busy("the server is busy, try again in a moment")
