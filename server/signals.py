"""Signals as numbers that the main thread waits for. What they mean is the service's business.

Python's C handler writes the number of a signal into a socket at once, whatever the threads are doing, so none is
missed; a queue read without a timeout in the main thread was seen to sleep through some.
"""

import contextlib
import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Self

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WOKEN = 0


class Signals:
    """While it is open, TERM, INT and HUP only come out of `wait`. To be used in the main thread."""

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._previous_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, _do_nothing) for number in HANDLED}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout: float | None = None) -> int | None:
        """The number of the next signal, WOKEN after `wake`, None if neither comes within `timeout` seconds."""
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        if not poller.poll(None if timeout is None else timeout * 1000):
            return None
        return self._reader.recv(1)[0]

    def wake(self) -> None:
        """Make `wait` return in the main thread; may be called from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):
            self._writer.send(bytes([WOKEN]))


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler must be set for the number to be written."""
