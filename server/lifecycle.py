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
from server.service import Service
from server.signals import WOKEN, Signals

_GRACE = 1.2
"""Seconds after the drain in which things are closed, or left."""

_LAST_WORDS = 0.3
"""Seconds for the last lines of the log."""


def obey(signals: Signals, service: Service, reload: Callable[[], None], terminal: int | None) -> NoReturn:
    """Do what the signals say, and end the process; a second TERM or INT ends the drain at once.

    The main thread only listens: whatever hangs, a reload, a database or the log, the end comes in time.
    """

    def wind_up() -> None:
        service.stop_listening()
        service.drain()
        service.close()
        signals.wake()

    def say_last_words() -> None:
        if number != WOKEN:
            service.abandon()
        logging.shutdown()
        said.set()

    start_reload = _standing_by(reload)
    start_to_wind_up = _standing_by(wind_up)
    start_last_words = _standing_by(say_last_words)
    said = threading.Event()
    while signals.wait() == signal.SIGHUP and not _is_gone(terminal):
        start_reload()
    latest = time.monotonic() + service.drain_timeout + _GRACE
    start_to_wind_up()
    while (number := signals.wait(latest - time.monotonic())) == signal.SIGHUP:
        pass
    start_last_words()
    said.wait(_LAST_WORDS)
    # The interpreter is not waited for either: a signal that comes while it winds up would find nobody to hear it,
    # and end the process with another status.
    os._exit(ExitStatus.DONE)


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


def _is_gone(terminal: int | None) -> bool:
    """Whether the terminal has been closed: the kernel then sends HUP, which is not meant as a reload."""
    return terminal is not None and not os.isatty(terminal)
