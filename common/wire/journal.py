"""The log lines of a connection: its start and end, and the number and length of its messages, never their text.

A slow conversation, as between people, has one line for each message. A quick one has one line of counts a second.
"""

import threading
import time
from collections.abc import Callable

from common.wire.framing import HEADER
from common.wire.sockets import MessageSocket

_MESSAGES = 20
_PERIOD = 1.0

Counts = tuple[int, int, int, int]


class Journal:
    """The log of one connection, used by the thread of that connection. `digest` reports it while it is quick."""

    def __init__(self, log: Callable[[str, str], None], peer: str, digest: "Digest") -> None:
        """`log` logs a text (the first argument) about a peer (the second)."""
        self._log = log
        self._peer = peer
        self._digest = digest
        self._told: Counts = (0, 0, 0, 0)
        self._messages = 0
        self._period_ends = 0.0

    def log(self, text: str) -> None:
        """Log an event other than a message."""
        self._log(text, self._peer)

    def log_messages(self, connection: MessageSocket) -> None:
        """Log the new messages. After twenty messages within a second, let the connection only count them."""
        now = time.monotonic()
        if now >= self._period_ends:
            self._period_ends = now + _PERIOD
            self._messages = 0
        self._messages += self.log_counts(connection)
        if self._messages >= _MESSAGES:
            connection.is_followed = False
            self._digest.follow(connection, self)

    def log_counts(self, connection: MessageSocket) -> int:
        """Log the difference to the counts that were logged before. Return the number of new messages."""
        with self._digest.lock:  # read the counts inside the lock: they must not be older than the logged ones
            now = counts(connection)
            told, self._told = self._told, now
        received = now[0] - told[0]
        if received:
            self._log(_text("received", received, now[1] - told[1]), self._peer)
        sent = now[2] - told[2]
        if sent:
            self._log(_text("sent", sent, now[3] - told[3]), self._peer)
        return received + sent

    def close(self, connection: MessageSocket) -> None:
        """Log the messages that are not logged yet, and stop following the connection."""
        if not connection.is_followed:
            self._digest.leave(connection)
        connection.is_followed = False
        self.log_counts(connection)


class Digest:
    """Reports the counts of the quick connections once a second. One thread must call `report` regularly."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._quick: dict[MessageSocket, tuple[Journal, Counts | None]] = {}
        self._next = 0.0

    def follow(self, connection: MessageSocket, journal: Journal) -> None:
        with self.lock:
            self._quick[connection] = (journal, None)

    def leave(self, connection: MessageSocket) -> None:
        with self.lock:
            self._quick.pop(connection, None)

    def report(self) -> None:
        """Let each quick connection log its counts, if a second has passed. Only one thread may call this."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PERIOD
        with self.lock:
            quick = list(self._quick.items())
        for connection, (journal, before) in quick:
            present = counts(connection)
            is_silent = present == before  # it had no message for a second
            if is_silent:
                journal.log_counts(connection)
            with self.lock:
                if self._quick.get(connection) != (journal, before):
                    continue  # it has just become quick again, or was closed
                if is_silent:
                    del self._quick[connection]
                    continue
                self._quick[connection] = (journal, present)
            connection.is_followed = True  # its own thread logs, at the next message


def counts(connection: MessageSocket) -> Counts:
    """Return messages and bytes received, messages and bytes sent."""
    return (
        connection.messages_received,
        connection.bytes_received,
        connection.messages_sent,
        connection.bytes_sent,
    )


def _text(word: str, count: int, length: int) -> str:
    """Return a log line for `count` messages. `length` counts the bytes of the frames, with their headers."""
    length -= count * HEADER.size
    return f"message {word}, {length} bytes" if count == 1 else f"{count} messages {word}, {length} bytes"
