"""A few threads that compute all password hashes of a process. The connections take turns. It knows no passwords.

A hash takes a core and megabytes of memory, and a few threads bound both. When each connection hashed in its own
thread, even one at a time, 19 MiB stayed with each thread (glibc keeps an arena per thread): 144 MiB in a flood.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from common.errors import Busy, Stopping
from server.machine import cores

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
    ) -> None:
        """Start `count` threads, by default one for each core.

        `queue` callers of one source may wait for a turn, `longest_wait` seconds each. With a full queue a caller is
        refused after `pause_when_full` seconds.
        """
        count = count or len(cores())
        self._lock = threading.Lock()
        self._free = count + 1  # one more: its holder uses the store while the hashes of the others are computed
        self._waiting: dict[str, deque[threading.Event]] = {}  # by source; the first one has the next turn
        self._most_waiting = queue
        self._longest_wait = longest_wait
        self._pause_when_full = pause_when_full
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="hash", initializer=_lower_priority)
        # All threads start now: during a flood the system could refuse them.
        started = threading.Barrier(count)
        list(self._threads.map(lambda _: started.wait(), range(count)))

    @contextmanager
    def turn(self, source: str = "") -> Iterator[None]:
        """Hold a turn inside, so that `run` waits no longer than one hash takes.

        The sources that wait get their turns one after the other, however many callers each of them has: a flood from
        one address makes nobody else wait. Raise Busy if the source has too many callers that wait, or if the turn
        does not come in time.
        """
        turn = self._queue_for_turn(source)
        if turn is None:
            # A client that is refused at once asks again at once, and each attempt has a cost.
            self._closed.wait(self._pause_when_full)
            raise _busy()
        if not turn.wait(self._longest_wait) and not self._has_come_meanwhile(source, turn):
            raise _busy()
        try:
            yield
        finally:
            self._give_back()

    def _queue_for_turn(self, source: str) -> threading.Event | None:
        """Return an event that is set when the turn comes, or None if too many wait."""
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                turn.set()
            elif len(self._waiting.get(source, ())) < self._most_waiting:
                self._waiting.setdefault(source, deque()).append(turn)
            else:
                return None
        return turn

    def _has_come_meanwhile(self, source: str, turn: threading.Event) -> bool:
        """Wait no longer for a turn, unless it has just come."""
        with self._lock:
            if turn.is_set():
                return True
            self._waiting[source].remove(turn)
            if not self._waiting[source]:
                del self._waiting[source]
            return False

    def _give_back(self) -> None:
        """Give the turn to the next source, which goes to the end if more of its callers wait."""
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            source = next(iter(self._waiting))
            callers = self._waiting.pop(source)
            callers.popleft().set()
            if callers:
                self._waiting[source] = callers

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


def _lower_priority() -> None:
    """Set the priority of a thread before its first hash."""
    if sys.platform == "linux":  # only here a thread has its own priority; elsewhere nice() changes the process
        with suppress(OSError):  # without the lower priority hashing works as well
            os.nice(_NICENESS)


def _busy() -> Busy:
    return Busy("the server is busy, try again in a moment")
