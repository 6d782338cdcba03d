"""A flag that a thread can wait for in poll(), together with its socket. It knows nothing of sockets.

`set` wakes all waiting threads at once: the descriptor becomes readable, and it stays so, since no thread reads it.
"""

import os
import select


class StopFlag:
    """A flag that is not set at first. Once set, it stays set. Close it when no thread waits for it any more."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self.is_set = False

    def set(self) -> None:
        if not self.is_set:
            self.is_set = True
            os.write(self._writer, b"\0")

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds. Return whether the flag is set."""
        poller = select.poll()
        poller.register(self, select.POLLIN)
        return bool(poller.poll(timeout * 1000))

    def fileno(self) -> int:
        return self._reader

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)
