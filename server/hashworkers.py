"""A few threads that compute password hashes for all others, who wait in a short queue. It knows no passwords.

Each hash takes a core and megabytes. Threads of their own bound both: hashed by the threads of the connections, one
at a time, 19 MiB stayed behind with each of them in turn (glibc keeps an arena a thread): 144 MiB in a flood.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, TypeVar

from common.errors import Busy, Stopping

_QUEUE = 16
_LONGEST_WAIT = 2.0

_Result = TypeVar("_Result")


class HashWorkers:
    """As many as there are cores but one, which is left to those who are logged in; at least one."""

    def __init__(self, count: int | None = None, queue: int = _QUEUE) -> None:
        count = count or max(1, _cores() - 1)
        self._places = threading.Semaphore(count + queue)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="hash")

    def run(self, function: Callable[..., _Result], *arguments: Any, longest_wait: float = _LONGEST_WAIT) -> _Result:
        """What the function returns or raises; Busy if the queue is full, or its turn has not come in time.

        The place is the work's: it is given back when the work is done, whoever still waits for it.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("busy, try again in a moment")
        try:
            work = self._threads.submit(function, *arguments)
        except RuntimeError:  # closed
            raise Stopping from None
        work.add_done_callback(lambda _: self._places.release())
        try:
            work.exception(longest_wait)
        except TimeoutError:
            if work.cancel():
                raise Busy("busy, try again in a moment") from None
        except CancelledError:
            raise Stopping from None
        return work.result()

    def close(self) -> None:
        """End the threads; what has begun is finished, what waits is not begun, and raises Stopping."""
        self._threads.shutdown(cancel_futures=True)


def _cores() -> int:
    """How many cores this process may use, which in a container are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
