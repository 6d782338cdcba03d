"""Signals as numbers that the main thread waits for. What they mean is the service's business.

Python's C handler writes a byte into a socket at once, whatever the threads are doing, so none is missed; a queue
read without a timeout in the main thread was seen to sleep through some. The byte only wakes: a burst of signals
fills the socket, so which ones came is kept beside it.
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

WOKEN = 0
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FIRST_TO_LAST = (WOKEN, *HANDLED, signal.SIGCHLD)


class Signals:
    """While it is open, these signals only come out of `wait`. To be used in the main thread."""

    def __init__(
        self, handled: Sequence[signal.Signals] = HANDLED, at_the_end: Callable[[], object] = lambda: None
    ) -> None:
        """`at_the_end` is called whenever TERM or INT comes, at once, even if nobody waits for it."""
        self._handled = handled
        self._at_the_end = at_the_end

    def __enter__(self) -> Self:
        self._came: set[int] = set()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._previous_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, self._note) for number in self._handled}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handled)  # some may have been held back until now
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout: float | None = None, beside: int | None = None) -> int | None:
        """The next number: TERM and INT before HUP; None if none comes within `timeout` seconds.

        WOKEN after `wake`, and when the descriptor `beside` can be read. Equal ones that came together are one.
        """
        latest = math.inf if timeout is None else time.monotonic() + timeout
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        if beside is not None:
            poller.register(beside, select.POLLIN)
        while not self._came:
            left = latest - time.monotonic()
            ready = dict(poller.poll(poll_milliseconds(left)))
            if self._reader.fileno() in ready:
                self._reader.recv(4096)
            elif ready:
                return WOKEN
            elif left <= 0:
                return None
        number = min(self._came, key=_FIRST_TO_LAST.index)
        self._came.discard(number)
        return number

    def wake(self) -> None:
        """Make `wait` return in the main thread; may be called from any thread."""
        self._came.add(WOKEN)
        with contextlib.suppress(BlockingIOError, OSError):
            self._writer.send(b"\0")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # By Python, in the main thread, before it looks at `_came` again.
        self._came.add(number)
        if number in (signal.SIGTERM, signal.SIGINT):
            self._at_the_end()
