"""Several processes that serve on one socket, and their parent, which starts, watches and replaces them.

The parent has no threads, so that it may fork at any time, and serves nobody. What serving is, it does not know.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from common.errors import ExitStatus, PorterError, Unavailable
from server.process.signals import HANDLED, WOKEN, Signals

LOG = logging.getLogger("porter.server")

_GRACE = 1.2
"""Seconds after the drain in which the workers end; then they are killed."""

_PAUSE = 0.5
"""Seconds until a worker that has not lived for longer than that is replaced."""


@dataclass
class _Worker:
    pid: int
    started: float
    is_ending: bool = False

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self) -> None:
        self.is_ending = True
        self.signal(signal.SIGTERM)


Work: TypeAlias = "Callable[[int, Workers, Callable[[str], None]], NoReturn]"


class Workers:
    """`work` is what a worker does, and never returns: it gets its number, this, and what to call when it is ready.

    It begins with the signals blocked, and unblocks them when it waits for them.

    `forget` is told the number of a worker that has ended.
    """

    def __init__(
        self,
        count: int,
        work: Work,
        forget: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._count = count
        self._work = work
        self._forget = forget
        self._workers: dict[int, _Worker] = {}
        self._missing: dict[int, float] = {}  # the numbers of those who have died, and when to replace them
        # The parent alone holds the writing end: when it is gone, however it went, the workers read the end of it.
        self._life_reader, self._life_writer = os.pipe()

    def start(self, signals: Signals) -> str | None:
        """Start them all; what they say of themselves, None if a TERM or INT came meanwhile.

        Raises Unavailable if one cannot start.
        """
        text = None
        try:
            for report in [self._start(number) for number in range(self._count)]:
                while (number := signals.wait(beside=report)) != WOKEN:
                    if number in (signal.SIGTERM, signal.SIGINT):
                        return None
                text = _read(report)
                if not text.startswith("ready "):
                    raise Unavailable(text.removeprefix("failed ") or "a worker could not be started")
        except (OSError, Unavailable) as error:
            self.stop(signals, drain_timeout=0)
            raise Unavailable(str(error)) from error
        return text and text.removeprefix("ready ")

    def reload(self, work: Work) -> None:
        """Tell all, and have those who come later do this `work`."""
        self._work = work
        self._signal(signal.SIGHUP)

    def watch(self) -> float | None:
        """Replace those who have died; in how many seconds to look again, None for when one dies."""
        self.reap()
        now = time.monotonic()
        for number in [number for number, moment in self._missing.items() if moment <= now]:
            try:
                os.close(self._start(number))
                del self._missing[number]
            except OSError as error:
                LOG.error("worker %d cannot be replaced: %s", number + 1, error.strerror)
                self._missing[number] = now + _PAUSE
        return max(0.0, min(self._missing.values()) - now) if self._missing else None

    def stop(self, signals: Signals, drain_timeout: float) -> None:
        """Have them drain, if they do not yet, and wait for their end. Who takes too long is killed."""
        self._missing.clear()
        for worker in self._workers.values():
            if not worker.is_ending:  # because nobody was told, or it has been started since
                worker.end()
        LOG.info("stopping, %d workers", len(self._workers))
        latest = time.monotonic() + drain_timeout + _GRACE
        while self._workers:
            if signals.wait(latest - time.monotonic()) is None:
                LOG.warning("%d workers killed, they took too long", len(self._workers))
                self._signal(signal.SIGKILL)
                latest += _GRACE
            self.reap()

    def end(self) -> None:
        """Have them drain, and if they do already, end at once; may be called amid anything else."""
        for worker in self._workers.values():
            worker.end()

    def abandon(self) -> NoReturn:
        """Kill them and end this process."""
        self._signal(signal.SIGKILL)
        os._exit(ExitStatus.DONE)

    def reap(self) -> None:
        """Take note of those who have ended."""
        for number, worker in list(self._workers.items()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                del self._workers[number]
                self._forget(number)
                self._has_ended(number, worker, os.waitstatus_to_exitcode(status))

    def _has_ended(self, number: int, worker: _Worker, code: int) -> None:
        now = time.monotonic()
        self._missing[number] = now if now - worker.started > _PAUSE else now + _PAUSE
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
            LOG.error("worker %d, pid %d, %s", number + 1, worker.pid, how)

    def _signal(self, number: int) -> None:
        for worker in self._workers.values():
            worker.signal(number)

    def _start(self, number: int) -> int:
        """Fork a worker; the descriptor on which it says that it is ready, or why not."""
        reader, writer = os.pipe()
        # Until the worker waits for signals itself, it would note them where nobody looks: so they wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                self._be_worker(number, writer)
            self._workers[number] = _Worker(pid, time.monotonic())
        except OSError:
            os.close(reader)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
            os.close(writer)
        return reader

    def _be_worker(self, number: int, report: int) -> NoReturn:
        # Of its own group, so that Ctrl-C on the terminal is the parent's to pass on, and comes once.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        os.close(self._life_writer)

        def say(text: str) -> None:
            with contextlib.suppress(OSError):  # nobody waits to hear that one is replaced
                os.write(report, text.encode())
                os.close(report)

        try:
            self._work(number, self, lambda text: say(f"ready {text}"))
        except PorterError as error:
            say(f"failed {error}")
            os._exit(error.status)
        except BaseException:
            LOG.exception("a worker failed")
            os._exit(ExitStatus.UNAVAILABLE)

    def wait_for_parents_end(self) -> None:
        """To be called in a worker, in a thread of its own: returns when the parent is gone."""
        while os.read(self._life_reader, 1):
            pass


def _read(report: int) -> str:
    with os.fdopen(report, "rb") as stream:
        return stream.read().decode()
