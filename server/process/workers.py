"""Several processes that serve on one socket, and their parent, which starts, watches and replaces them.

The parent has no threads, so that it may fork at any time, and it serves no clients. What workers serve is not known
here.
"""

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from common.errors import ExitStatus, PorterError, Unavailable
from server.process import budget
from server.process.signals import CUT, HANDLED, READY, RELOAD, Signals

LOG = logging.getLogger("porter.server")

_PAUSE = 0.5
"""Seconds. A worker that lived no longer than this is replaced after a pause of the same length."""


ORDERS = {b"r": RELOAD, b"d": signal.SIGTERM, b"c": CUT}
"""What a parent writes into a worker's pipe, and what the worker then takes for a signal."""


@dataclass
class _Worker:
    pid: int
    orders: int
    """The writing end of the worker's pipe. Only the parent holds it: when that ends, the worker reads the end."""
    started: float
    is_ending: bool = False

    def order(self, order: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, BlockingIOError):  # the worker has ended, or hangs
            os.write(self.orders, order)

    def end(self) -> None:
        """Make the worker drain; a worker that was told so already ends at once."""
        self.order(b"c" if self.is_ending else b"d")
        self.is_ending = True

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


Work: TypeAlias = Callable[[int, Callable[[str], None], int], NoReturn]


class Workers:
    """Starts, watches and replaces the workers."""

    def __init__(
        self,
        count: int,
        work: Work,
        forget: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Start no worker yet.

        `work` runs in a worker and never returns. It gets the worker's number, a function to call, with a
        description, when the worker is ready, and the descriptor from which it must read ORDERS. It begins with the
        signals blocked, and must unblock them when it waits for them. `forget` gets the number of each worker that
        has ended.
        """
        self._count = count
        self._work = work
        self._forget = forget
        self._workers: dict[int, _Worker] = {}
        self._missing: dict[int, float] = {}  # the numbers of dead workers, and when to replace them

    def start(self, signals: Signals) -> str | None:
        """Start all workers. Return the description that they report, or None if TERM or INT came meanwhile.

        Raise Unavailable if one cannot start.
        """
        text = None
        reload = False
        try:
            for report in [self._start(number) for number in range(self._count)]:
                while (number := signals.wait(beside=report)) != READY:
                    if number in (signal.SIGTERM, signal.SIGINT):
                        return None
                    reload = reload or number == signal.SIGHUP
                is_ready, text = _read(report)
                if not is_ready:
                    raise Unavailable("{reason}", reason=text)
        except (OSError, Unavailable) as error:
            self.stop(signals, drain_timeout=0)
            raise Unavailable("{reason}", reason=error) from error
        if reload:
            signals.post(signal.SIGHUP)  # it came during the start, and is done after it
        return text

    def reload(self) -> None:
        """Tell all workers to load the configuration again."""
        for worker in self._workers.values():
            worker.order(b"r")

    def watch(self) -> float | None:
        """Replace dead workers. Return the seconds until the next call, or None if it can wait until one dies."""
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
        """Make all workers drain and wait for their end. Kill those that need longer than `drain_timeout` seconds."""
        self._missing.clear()
        for worker in self._workers.values():
            if not worker.is_ending:  # no TERM or INT came, or the worker was started after it
                worker.end()
        LOG.info("stopping, %d workers", len(self._workers))
        latest = time.monotonic() + drain_timeout + budget.WORKERS
        while self._workers:
            if signals.wait(latest - time.monotonic()) is None:
                LOG.warning("%d workers killed: they did not stop in time", len(self._workers))
                self._kill_all()
                latest += budget.WORKERS
            self.reap()

    def end(self) -> None:
        """Make all workers drain; a worker that drains already ends at once. A signal handler may call this."""
        for worker in self._workers.values():
            worker.end()

    def abandon(self) -> NoReturn:
        """Kill all workers and end this process."""
        self._kill_all()
        os._exit(ExitStatus.DONE)

    def reap(self) -> None:
        """Collect the workers that have ended."""
        for number, worker in list(self._workers.items()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                del self._workers[number]
                os.close(worker.orders)
                self._forget(number)
                self._record_end(number, worker, os.waitstatus_to_exitcode(status))

    def _record_end(self, number: int, worker: _Worker, code: int) -> None:
        now = time.monotonic()
        self._missing[number] = now if now - worker.started > _PAUSE else now + _PAUSE
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
            LOG.error("worker %d, pid %d, %s", number + 1, worker.pid, how)

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.kill()

    def _start(self, number: int) -> int:
        """Fork a worker. Return the descriptor on which it reports that it is ready, or why not."""
        reader, writer = os.pipe()
        order_reader, order_writer = os.pipe()
        os.set_blocking(order_writer, False)
        # The worker inherits the parent's `Signals`, which it never reads: signals stay blocked until it has its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                for inherited in (order_writer, *(worker.orders for worker in self._workers.values())):
                    os.close(inherited)
                self._run_worker(number, writer, order_reader)
            self._workers[number] = _Worker(pid, order_writer, time.monotonic())
        except OSError:
            os.close(reader)
            os.close(order_writer)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
            os.close(writer)
            os.close(order_reader)
        return reader

    def _run_worker(self, number: int, report: int, orders: int) -> NoReturn:
        # A process group of its own: Ctrl-C reaches only the parent, which passes it on, so it comes once.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)

        def send(is_ready: bool, text: str) -> None:
            with contextlib.suppress(OSError):  # the parent does not read the report of a replacement
                os.write(report, json.dumps([is_ready, text]).encode())
                os.close(report)

        try:
            self._work(number, lambda text: send(True, text), orders)
        except PorterError as error:
            send(False, str(error))
            os._exit(error.status)
        except BaseException:
            LOG.exception("a worker failed")
            os._exit(ExitStatus.UNAVAILABLE)


def _read(report: int) -> tuple[bool, str]:
    """Return whether a worker is ready, and its description, or the reason why it is not."""
    with os.fdopen(report, "rb") as stream:
        data = stream.read()
    if not data:
        return False, "a worker ended before it was ready"
    is_ready, text = json.loads(data)
    return is_ready, text
