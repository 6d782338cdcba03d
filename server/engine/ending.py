"""The end of a connection, which takes a moment and no thread. Who was served on it is not known here.

Closing a socket with unread input resets the connection, and the reset can overtake our last message. So what the
peer still sends is read and dropped, for a while.
"""

import time
from collections.abc import Callable

from common.errors import PorterError
from server.engine.channel import Channel
from server.engine.leader import Leader
from server.engine.polling import READ, WRITE

_MOST_DROPPED = 1_048_576  # bytes
_CHUNK = 4096


class Ending:
    """A connection that ends, as a participant of the leader: it sends the rest, ends our side, and drops what comes.

    It calls `close` when the peer has ended, too, or when its time is over, or after 1 MiB.
    """

    def __init__(self, fd: int, channel: Channel, leader: Leader, close: Callable[[], None]) -> None:
        self.fd = fd
        self.events = READ
        self.deadline = 0.0
        self.is_slow = False
        self._channel = channel
        self._leader = leader
        self._close = close
        self._dropped = 0

    def begin(self, linger: float) -> None:
        """End within `linger` seconds, in turns of the leader, or at once if nothing has to be waited for."""
        self.deadline = time.monotonic() + linger
        if self.turn():
            self._leader.park(self)
            self._leader.look_by(self.deadline)

    def turn(self) -> bool:
        try:
            is_over = time.monotonic() >= self.deadline or self._channel.is_over() or self._drop_input()
        except (OSError, PorterError):
            is_over = True
        if is_over:
            self._leader.take(self)
            self._close()
            return False
        self.events = WRITE if self._channel.unsent else READ
        return True

    def was_handed_on(self) -> None:
        """Do nothing: this turn does not wait."""

    def _drop_input(self) -> bool:
        """Read and drop what has come. Return whether it was the end, or enough."""
        data = None if self._channel.unsent else self._channel.receive(_CHUNK)
        if data is None:
            return False
        self._dropped += len(data)
        return not data or self._dropped > _MOST_DROPPED
