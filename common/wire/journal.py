"""The log lines of a connection: its start and end, and the number and length of its messages, never their text.

A slow conversation, as between people, has one line for each message. A quick one has one line of counts a second.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from common.wire.inbox import bodies

_LINES = 20
_PERIOD = 1.0

Counts = tuple[int, int, int, int]
"""Messages and bytes received, messages and bytes sent; the bytes with the headers."""


class Counted(Protocol):
    """What has a journal."""

    @property
    def counts(self) -> Counts: ...


class Journal:
    """The log of one connection. While `is_followed` is true, `note` is called when messages have come or gone.

    After twenty messages within a second the connection is put into `quick`: then `report` is called once a second.
    """

    __slots__ = ("_lines", "_lock", "_log", "_peer", "_period_ends", "_quick", "_told", "is_followed", "is_silent")

    def __init__(self, log: Callable[[str, str], None], peer: str, quick: set[Counted]) -> None:
        """`log` logs a text (the first argument) about a peer (the second)."""
        self.is_followed = True
        self.is_silent = False  # whether nothing is logged before the peer has said something
        self._log = log
        self._peer = peer
        self._quick = quick
        self._lock = threading.Lock()
        self._told: Counts = (0, 0, 0, 0)
        self._lines = 0
        self._period_ends = 0.0

    def log(self, text: str) -> None:
        """Log an event other than a message."""
        if not self.is_silent:
            self._log(text, self._peer)

    def note(self, connection: Counted) -> None:
        """Log the new messages. After twenty messages within a second, let them only be counted."""
        now = time.monotonic()
        if now >= self._period_ends:
            self._period_ends = now + _PERIOD
            self._lines = 0
        self._lines += self._tell(connection)
        if self._lines >= _LINES:
            self.is_followed = False
            self._quick.add(connection)

    def report(self, connection: Counted) -> None:
        """Log what was counted since the last call. A connection that was silent meanwhile is followed again."""
        if not self._tell(connection):
            self._quick.discard(connection)
            self.is_followed = True
            self._tell(connection)  # a message that came before the line above

    def close(self, connection: Counted) -> None:
        """Log the messages that are not logged yet, and follow the connection no more."""
        self.is_followed = False
        self._quick.discard(connection)
        self._tell(connection)

    def _tell(self, connection: Counted) -> int:
        """Log the difference to the counts that were logged before. Return the number of new messages."""
        with self._lock:  # read the counts inside the lock: they must not be older than the logged ones
            now = connection.counts
            if self.is_silent and not now[0]:
                return 0
            if self.is_silent:
                self.is_silent = False
                self._log("client connected", self._peer)
            told, self._told = self._told, now
        received, sent = now[0] - told[0], now[2] - told[2]
        if received:
            self._log(_text("received", received, now[1] - told[1]), self._peer)
        if sent:
            self._log(_text("sent", sent, now[3] - told[3]), self._peer)
        return received + sent


def _text(word: str, count: int, size: int) -> str:
    """Return a log line for `count` messages, whose frames have `size` bytes."""
    length = bodies(count, size)
    return f"message {word}, {length} bytes" if count == 1 else f"{count} messages {word}, {length} bytes"
