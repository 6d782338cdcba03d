"""Signals as numbers that the main thread waits for. What they mean is not known here.

Python's C handler writes a byte into a socket at once, whatever the threads do, so no signal is missed. (A main
thread that read a queue without a timeout was seen to sleep through some signals.) The byte only wakes the main
thread: a burst of signals fills the socket, so their numbers are kept beside it.
"""

import contextlib
import math
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Self

from common.wire.deadline import poll_milliseconds

# What `wait` returns beside the numbers of signals.
WOKEN = 0
READY = -1  # the descriptor beside the signals is ready
RELOAD = -2  # posted by a worker's parent
CUT = -3  # posted by a worker's parent: end the drain at once
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# TERM before CUT: a drain must have begun before it can be cut.
_FIRST_TO_LAST = (WOKEN, signal.SIGTERM, signal.SIGINT, CUT, signal.SIGHUP, RELOAD, signal.SIGCHLD)


class Signals:
    """Handles signals while it is open: they do nothing but come out of `wait`. Only for the main thread."""

    def __init__(
        self, handled: Sequence[signal.Signals] = HANDLED, on_stop: Callable[[], object] = lambda: None
    ) -> None:
        """Handle the signals `handled`.

        The signal handler itself calls `on_stop` when TERM or INT comes, even while the main thread does not wait.
        """
        self._handled = handled
        self._on_stop = on_stop

    def __enter__(self) -> Self:
        self._pending: set[int] = set()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._previous_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, self._record) for number in self._handled}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handled)  # a start blocks some of them until now
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._reader.close()
        self._writer.close()

    def wait(
        self, timeout: float | None = None, beside: int | None = None, events: int = select.POLLIN
    ) -> int | None:
        """Return the number of the next signal, TERM and INT before HUP, or None if none comes in `timeout` seconds.

        Return READY when poll() reports one of `events`, an error or a hangup of the descriptor `beside`. Return what
        was given to `post`. Equal numbers that came together count as one.
        """
        latest = math.inf if timeout is None else time.monotonic() + timeout
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        if beside is not None:
            poller.register(beside, events)
        while not self._pending:
            left = latest - time.monotonic()
            ready = dict(poller.poll(poll_milliseconds(left)))
            if self._reader.fileno() in ready:
                self._reader.recv(4096)
            elif ready:
                return READY
            elif left <= 0:
                return None
        number = min(self._pending, key=_FIRST_TO_LAST.index)
        self._pending.discard(number)
        return number

    def post(self, number: int) -> None:
        """Make `wait` return `number` in the main thread. Any thread may call this."""
        self._pending.add(number)
        with contextlib.suppress(BlockingIOError, OSError):
            self._writer.send(b"\0")

    def _record(self, number: int, _frame: FrameType | None) -> None:
        # Python calls this in the main thread, before `wait` looks at `_pending` again.
        self._pending.add(number)
        if number in (signal.SIGTERM, signal.SIGINT):
            self._on_stop()
