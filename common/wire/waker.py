"""What wakes a thread that waits, for a descriptor or a moment. It does not know what for."""

import contextlib
import os
import select

from common.wire.deadline import poll_milliseconds


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
        self._poll.register(self.fd, select.POLLIN)
        self._beside: tuple[int | None, int] = (None, 0)

    def wake(self) -> None:
        """Wake the thread. If it does not wait now, its next wait ends at once."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes, too
            os.write(self._writer, b"\0\0\0\0\0\0\0\1")

    def clear(self) -> None:
        """Forget the calls of `wake` so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)

    def wait(self, fd: int | None, events: int, seconds: float) -> None:
        """Wait for `events` on `fd`, if that is given, for `wake`, or until `seconds` have passed."""
        if self._beside != (fd, events):
            if self._beside[0] not in (fd, None):
                self._poll.unregister(self._beside[0])
            if fd is not None:
                self._poll.register(fd, events)
            self._beside = (fd, events)
        for ready, _ in self._poll.poll(poll_milliseconds(seconds)):
            if ready == self.fd:
                self.clear()

    def close(self) -> None:
        for descriptor in {self.fd, self._writer}:
            os.close(descriptor)
