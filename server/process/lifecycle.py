"""What signals do to a running service: HUP reloads, TERM and INT drain, and the process ends in time.

How a configuration is found, and what is served, is not known here.
"""

import logging
import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Self

from common.errors import ExitStatus
from server.process import budget, systemd
from server.process.service import Service
from server.process.signals import CUT, READY, RELOAD, WOKEN, Signals

LOG = logging.getLogger("porter.server")


_TOGETHER = 2.0
"""Seconds within which a HUP belongs to the hangup of the terminal."""


@dataclass(frozen=True)
class Meaning:
    """What signals mean to a process. TERM and INT always begin the drain; all others are ignored."""

    reload: frozenset[int]
    cut: frozenset[int]
    """These end the drain at once."""


ALONE = Meaning(reload=frozenset({signal.SIGHUP}), cut=frozenset({signal.SIGTERM, signal.SIGINT}))
# A service manager sends TERM to the parent and to each worker, and the parent tells its workers as well: a worker
# must not take that for a second signal. So it only listens to the pipe of its parent, and to a first TERM.
WORKER = Meaning(reload=frozenset({RELOAD}), cut=frozenset({CUT}))


class Lifecycle:
    """The life of a service. The main thread only waits for signals, so that the process always ends in time.

    Other threads reload, stop and write the log: each of them may hang.
    """

    def __init__(
        self, signals: Signals, service: Service, reload: Callable[[], None], meaning: Meaning = ALONE
    ) -> None:
        self._signals = signals
        self._meaning = meaning
        self._service = service
        self._is_log_written = threading.Event()
        self._has_closed_in_time = False
        self._start_reload = _start_on_demand(reload)
        self._start_to_stop = _start_on_demand(self._stop)
        self._start_last_lines = _start_on_demand(self._write_last_lines)

    def obey(self, terminal: "Terminal") -> NoReturn:
        """Do what the signals say, and end the process. A second TERM or INT ends the drain at once."""
        watchdog = systemd.watchdog_seconds()
        while (number := terminal.wait(self._signals, watchdog)) not in (signal.SIGTERM, signal.SIGINT):
            if number in self._meaning.reload:
                self._start_reload()
            if number is None and self._service.is_healthy:
                systemd.notify("WATCHDOG=1")
        systemd.notify("STOPPING=1")
        latest = time.monotonic() + self._service.stop_seconds + budget.CLOSING
        self._start_to_stop()
        while (number := self._signals.wait(latest - time.monotonic())) not in {None, WOKEN, *self._meaning.cut}:
            pass
        self._has_closed_in_time = number == WOKEN
        self._start_last_lines()
        self._is_log_written.wait(budget.LAST_WORDS)
        # Not sys.exit(): while the interpreter shuts down, nothing handles signals, and one that comes then would end
        # the process with another status.
        os._exit(ExitStatus.DONE)

    def _stop(self) -> None:
        self._service.stop_listening()
        self._service.drain()
        self._service.close()
        self._signals.post(WOKEN)

    def _write_last_lines(self) -> None:
        if not self._has_closed_in_time:
            self._service.abandon()
        logging.shutdown()
        self._is_log_written.set()


def _start_on_demand(work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that has `work` done in another thread.

    The thread is started now, because later there may be no room for one.
    """
    wanted = threading.Event()

    def wait_and_work() -> None:
        while wanted.wait():
            wanted.clear()
            work()

    threading.Thread(target=wait_and_work, name="standing by", daemon=True).start()
    return wanted.set


class Terminal:
    """The terminal on which the server was started. When it is closed, a HUP means TERM and not a reload.

    The sender of a HUP does not tell: the shell sends it to its jobs itself. But poll() reports the hangup of the
    terminal. A HUP within two seconds of it belongs to it. If none comes, the server shall outlive its terminal
    (`disown`), and every later HUP is a reload.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self._closed_at: float | None = None
        self._last_hup = -math.inf

    @classmethod
    def of_the_start(cls) -> Self:
        """Find the terminal. A server that was started with nohup, which ignores HUP, has none."""
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            return cls()
        for descriptor in (0, 1, 2):
            if os.isatty(descriptor):
                return cls(descriptor)
        try:
            return cls(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
        except OSError:
            return cls()

    def wait(self, signals: Signals, timeout: float | None = None) -> int | None:
        """Wait as `Signals.wait` does. A HUP that belongs to the end of the terminal comes as TERM."""
        latest = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            forget_at = math.inf if self._closed_at is None else self._closed_at + _TOGETHER
            number = signals.wait(min(latest, forget_at) - time.monotonic(), self._descriptor, 0)
            now = time.monotonic()
            if number == signal.SIGHUP:
                self._last_hup = now
            if number == READY or self._is_closed():
                self._descriptor = None
                self._closed_at = now
            if self._closed_at is not None and abs(self._closed_at - self._last_hup) < _TOGETHER:
                LOG.info("the terminal is closed: HUP means the end")
                return signal.SIGTERM
            if self._closed_at is not None and now >= self._closed_at + _TOGETHER:
                LOG.info("the terminal is closed, and no HUP came: from now on HUP is a reload")
                self._closed_at = None
            if number not in (None, READY) or now >= latest:
                return None if number == READY else number

    def _is_closed(self) -> bool:
        if self._descriptor is None:
            return False
        poller = select.poll()
        poller.register(self._descriptor, 0)
        return bool(poller.poll(0))
