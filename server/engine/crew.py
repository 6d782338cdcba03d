"""The threads that work: each does a job, then waits for the next. What the jobs are is not known here."""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator

from common.wire.waker import Waker

LOG = logging.getLogger("porter.server")
_MOST_IDLE = 8
_LONGEST_COMPUTING = 1.0  # seconds

Job = Callable[[], None]


class Crew:
    """Threads that are started when they are needed. Of those that have nothing to do, eight wait for another job."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # threads that wait for a job which is not in the queue yet
        self._is_closed = False
        self._own = threading.local()
        self._computing = threading.Lock()

    def run(self, job: Job, spare: int = 0) -> None:
        """Have a thread do a job, and leave `spare` of the waiting ones alone.

        Raise RuntimeError or MemoryError if another thread is needed and the system gives none.
        """
        with self._lock:
            takes_idle = self._idle > spare
            if takes_idle:
                self._idle -= 1
        if not takes_idle:
            self._start()
        self._jobs.put(job)

    def keep_spare(self) -> None:
        """Start a thread that waits for a job, if there is none. A system that gives none is asked again later."""
        if self._idle or self._is_closed:
            return
        with contextlib.suppress(RuntimeError, MemoryError):
            self._start()
            with self._lock:
                self._idle += 1
                if self._is_closed:
                    self._jobs.put(None)

    def _work(self) -> None:
        """Do jobs, until the crew is closed or has no need of this thread."""
        try:
            while (job := self._jobs.get()) is not None:
                self._do(job)
                del job  # what it held is freed now
                with self._lock:
                    if self._is_closed or self._idle >= _MOST_IDLE:
                        return
                    self._idle += 1
        finally:
            waker = getattr(self._own, "waker", None)
            if waker is not None:
                waker.close()

    def waker(self) -> Waker:
        """Return the waker of the calling thread, which is one of the crew. It is closed when the thread ends."""
        waker: Waker | None = getattr(self._own, "waker", None)
        if waker is None:
            waker = self._own.waker = Waker()
        return waker

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Compute inside, when nobody else does so, or after a second all the same.

        The interpreter runs one thread at a time anyway, and each more makes the leader wait longer for its lock.
        """
        is_alone = self._computing.acquire(timeout=_LONGEST_COMPUTING)
        try:
            yield
        finally:
            if is_alone:
                self._computing.release()

    def close(self) -> None:
        """End the threads that wait. One that works ends after its job."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._jobs.put(None)

    def _start(self) -> None:
        threading.Thread(target=self._work, name="crew", daemon=True).start()

    def _do(self, job: Job) -> None:
        try:
            job()
        except BaseException:  # a job is a whole turn of the engine: the thread must survive its failure
            LOG.exception("a thread of the engine failed")
