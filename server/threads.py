"""Threads that are used again: starting one costs more than serving a short connection.

Each runs one job at a time; one that has had nothing to do for a moment ends. What the jobs are is not known here.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

LOG = logging.getLogger("porter.server")
_IDLE_SECONDS = 2.0

Job = tuple[Callable[..., Any], tuple[Any, ...]]


class ThreadSet:
    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: deque[_Worker] = deque()  # the last to become idle is the first to work: the others may end

    def run(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run `function(*arguments)` in a thread; raises RuntimeError if none is idle and none can be started."""
        job = (function, arguments)
        try:
            worker = self._idle.pop()
        except IndexError:
            _Worker(self._idle, self._name, job).start()
        else:
            worker.take(job)

    def close(self) -> None:
        """Let the idle threads end now; a busy one ends soon after its job."""
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().dismiss()


class _Worker(threading.Thread):
    def __init__(self, idle: "deque[_Worker]", name: str, job: Job) -> None:
        super().__init__(name=name, daemon=True)
        self._idle = idle
        self._job: Job | None = job
        self._wake = threading.Semaphore(0)

    def take(self, job: Job) -> None:
        self._job = job
        self._wake.release()

    def dismiss(self) -> None:
        self._wake.release()

    def run(self) -> None:
        while self._job is not None:
            (function, arguments), self._job = self._job, None
            try:
                function(*arguments)
            except BaseException:
                LOG.exception("a thread's job failed")
            del function, arguments  # or an idle thread would keep its last connection alive
            self._idle.append(self)
            if not self._wake.acquire(timeout=_IDLE_SECONDS) and not self._leave():
                self._wake.acquire()  # a job was given at the last moment

    def _leave(self) -> bool:
        """Out of the idle ones, unless `run` has just taken this thread out to give it a job."""
        try:
            self._idle.remove(self)
        except ValueError:
            return False
        return True
