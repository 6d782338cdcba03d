"""What the signals do to a running service, up to its end: reload on HUP, drain on TERM and INT, and leave in time.

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
from server.process.service import Service
from server.process.signals import WOKEN, Signals

_GRACE = 0.7
"""Seconds after the drain in which things are closed, or left."""

_LAST_WORDS = 0.3
"""Seconds for the last lines of the log."""


class Lifecycle:
    """The main thread only listens: whatever hangs, a reload, a database or the log, the end comes in time."""

    def __init__(self, signals: Signals, service: Service, reload: Callable[[], None]) -> None:
        self._signals = signals
        self._service = service
        self._said = threading.Event()
        self._in_time = False
        self._start_reload = _standing_by(reload)
        self._start_to_wind_up = _standing_by(self._wind_up)
        self._start_last_words = _standing_by(self._say_last_words)

    def obey(self, terminal: int | None) -> NoReturn:
        """Do what the signals say, and end the process; a second TERM or INT ends the drain at once."""
        while self._signals.wait() == signal.SIGHUP and not is_gone(terminal):
            self._start_reload()
        latest = time.monotonic() + self._service.drain_timeout + _GRACE
        self._start_to_wind_up()
        while (number := self._signals.wait(latest - time.monotonic())) == signal.SIGHUP:
            pass
        self._in_time = number == WOKEN
        self._start_last_words()
        self._said.wait(_LAST_WORDS)
        # The interpreter is not waited for either: a signal that comes while it winds up would find nobody to hear
        # it, and end the process with another status.
        os._exit(ExitStatus.DONE)

    def _wind_up(self) -> None:
        self._service.stop_listening()
        self._service.drain()
        self._service.close()
        self._signals.wake()

    def _say_last_words(self) -> None:
        if not self._in_time:
            self._service.abandon()
        logging.shutdown()
        self._said.set()


def _standing_by(work: Callable[[], None]) -> Callable[[], None]:
    """A thread for `work`, started now, when there is room for one; call what is returned to have it done."""
    wanted = threading.Event()

    def stand_by() -> None:
        while wanted.wait():
            wanted.clear()
            work()

    threading.Thread(target=stand_by, name="standing by", daemon=True).start()
    return wanted.set


def starting_terminal() -> int | None:
    """A descriptor of the terminal that the server was started on, None if it was started without one.

    Whoever starts it with nohup, which has HUP ignored, means it to outlive the terminal.
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
    """Whether the terminal has been closed: the kernel then sends HUP, which is not meant as a reload."""
    return terminal is not None and not os.isatty(terminal)
