"""The log lines of a connection: its begin and end, and its messages, by number and length, never their text.

A conversation as people have them has a line a message; what is quicker is counted, and told once a second.
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
    """Of one connection, for its own thread; `digest` helps with those that are quicker than people are."""

    def __init__(self, note: Callable[[str, str], None], peer: str, digest: "Digest") -> None:
        """`note` logs a text about a peer."""
        self._note = note
        self._peer = peer
        self._digest = digest
        self._told: Counts = (0, 0, 0, 0)
        self._messages = 0
        self._period_ends = 0.0

    def note(self, text: str) -> None:
        """Log an event other than a message."""
        self._note(text, self._peer)

    def look(self, connection: MessageSocket) -> None:
        """Tell what has come and gone; after twenty messages within a second, have the connection only count."""
        now = time.monotonic()
        if now >= self._period_ends:
            self._period_ends = now + _PERIOD
            self._messages = 0
        self._messages += self.tell(connection)
        if self._messages >= _MESSAGES:
            connection.is_followed = False
            self._digest.follow(connection, self)

    def tell(self, connection: MessageSocket) -> int:
        """Log how the counts differ from those told before; by how many messages."""
        with self._digest.lock:  # the counts are read in it, too: they must not be older than those told before
            now = counts(connection)
            told, self._told = self._told, now
        received = now[0] - told[0]
        if received:
            self._note(_shown("received", received, now[1] - told[1]), self._peer)
        sent = now[2] - told[2]
        if sent:
            self._note(_shown("sent", sent, now[3] - told[3]), self._peer)
        return received + sent

    def close(self, connection: MessageSocket) -> None:
        """Tell the rest."""
        if not connection.is_followed:
            self._digest.leave(connection)
        connection.is_followed = False
        self.tell(connection)


class Digest:
    """Once a second it has the quick connections tell what they have counted; somebody must call `report`."""

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
        """To be called now and then, by one thread."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PERIOD
        with self.lock:
            quick = list(self._quick.items())
        for connection, (journal, before) in quick:
            present = counts(connection)
            is_silent = present == before  # for a second
            if is_silent:
                journal.tell(connection)
            with self.lock:
                if self._quick.get(connection) != (journal, before):
                    continue  # it has just become quick again, or left
                if is_silent:
                    del self._quick[connection]
                    continue
                self._quick[connection] = (journal, present)
            connection.is_followed = True  # its own thread tells, at the next message


def counts(connection: MessageSocket) -> Counts:
    return (
        connection.messages_received,
        connection.bytes_received,
        connection.messages_sent,
        connection.bytes_sent,
    )


def _shown(word: str, count: int, length: int) -> str:
    """`length` is that of the frames."""
    length -= count * HEADER.size
    return f"message {word}, {length} bytes" if count == 1 else f"{count} messages {word}, {length} bytes"
