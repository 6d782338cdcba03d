"""What signals do to a running service: HUP reloads, TERM and INT drain, and the process ends in time.

How a configuration is found, and what is served, is not known here.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from common.errors import ExitStatus
from server.process import budget
from server.process.service import Service
from server.process.signals import WOKEN, Signals


class Lifecycle:
    """The life of a service. The main thread only waits for signals, so that the process always ends in time.

    Other threads reload, stop and write the log: each of them may hang.
    """

    def __init__(self, signals: Signals, service: Service, reload: Callable[[], None]) -> None:
        self._signals = signals
        self._service = service
        self._is_log_written = threading.Event()
        self._has_closed_in_time = False
        self._start_reload = _start_on_demand(reload)
        self._start_to_stop = _start_on_demand(self._stop)
        self._start_last_lines = _start_on_demand(self._write_last_lines)

    def obey(self, terminal: int | None) -> NoReturn:
        """Do what the signals say, and end the process. A second TERM or INT ends the drain at once."""
        while self._signals.wait() == signal.SIGHUP and not is_gone(terminal):
            self._start_reload()
        latest = time.monotonic() + self._service.drain_timeout + budget.CLOSING
        self._start_to_stop()
        while (number := self._signals.wait(latest - time.monotonic())) == signal.SIGHUP:
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
        self._signals.wake()

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


def starting_terminal() -> int | None:
    """Return a descriptor of the terminal on which the server was started, or None if there is none.

    Return None, too, if HUP is ignored: nohup does that, and such a server must outlive its terminal.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return None
    for descriptor in (0, 1, 2):
        if os.isatty(descriptor):
            return descriptor
    try:
        return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None


def is_gone(terminal: int | None) -> bool:
    """Return whether the terminal has been closed. The kernel then sends HUP, which does not ask for a reload."""
    return terminal is not None and not os.isatty(terminal)
