"""A flag that a thread can wait for in poll() next to its socket.

Setting it wakes every waiter at once: its descriptor becomes readable and stays so, since nobody reads it.
"""

import os
import select


class StopFlag:
    """Lowered when made; once set it stays set. Close it when no thread waits any more."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self.is_set = False

    def set(self) -> None:
        if not self.is_set:
            self.is_set = True
            os.write(self._writer, b"\0")

    def wait(self, timeout: float) -> bool:
        """Whether the flag is set within `timeout` seconds."""
        poller = select.poll()
        poller.register(self, select.POLLIN)
        return bool(poller.poll(timeout * 1000))

    def fileno(self) -> int:
        return self._reader

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)
