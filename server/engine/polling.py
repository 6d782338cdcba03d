"""The poller of all connections. What is waited for is not known here."""

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
