"""Waiting: the poller of all connections, and what wakes a thread. What is waited for is not known here."""

import contextlib
import os
import select
from collections.abc import Callable

from common.wire.deadline import poll_milliseconds

READ, WRITE = select.POLLIN, select.POLLOUT  # epoll has the same numbers


class Poll:
    """poll() with the methods of select.epoll, for systems without it. A change is heeded by the next `poll`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return self._poll.poll(poll_milliseconds(timeout))

    def close(self) -> None:
        """Do nothing: poll() holds no descriptor."""


if hasattr(select, "epoll"):
    Poller: Callable[[], "Poll | select.epoll"] = select.epoll
else:
    Poller = Poll


class Waker:
    """Wakes the one thread that waits, from any other thread. It may be used again and again.

    A thread waits for it in a poller (`fd` becomes readable) or, together with one connection, by `wait`.
    """

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.fd = self._writer = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.fd, self._writer = os.pipe()
            os.set_blocking(self.fd, False)
            os.set_blocking(self._writer, False)
        self._poll = select.poll()
        self._poll.register(self.fd, READ)
        self._beside: tuple[int, int] | None = None

    def wake(self) -> None:
        """Wake the thread. If it does not wait now, its next wait ends at once."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes, too
            os.write(self._writer, b"\0\0\0\0\0\0\0\1")

    def clear(self) -> None:
        """Forget the calls of `wake` so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)

    def wait(self, fd: int, events: int, seconds: float) -> None:
        """Wait for `events` on `fd`, for `wake`, or until `seconds` have passed."""
        if self._beside != (fd, events):
            if self._beside is not None and self._beside[0] != fd:
                self._poll.unregister(self._beside[0])
            self._poll.register(fd, events)
            self._beside = (fd, events)
        for ready, _ in self._poll.poll(poll_milliseconds(seconds)):
            if ready == self.fd:
                self.clear()

    def close(self) -> None:
        for descriptor in {self.fd, self._writer}:
            os.close(descriptor)
