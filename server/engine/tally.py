"""Counts the messages of all connections of a process, those that are open and those that have ended."""

import threading
from collections.abc import Iterable
from typing import Protocol

from common.wire.inbox import bodies
from common.wire.journal import Counts as MessageCounts
from server.counts import Count, Counts

_COUNTS = (Count.RECEIVED, Count.RECEIVED_BYTES, Count.SENT, Count.SENT_BYTES)


class Counted(Protocol):
    @property
    def counts(self) -> MessageCounts: ...


class Tally:
    """The sum of the counts of all connections, which goes on with that of an earlier process."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._ended = [counts.get(count) for count in _COUNTS]
        self.lock = threading.Lock()
        """Held while a connection ends, so that it is counted once."""

    def end(self, connection: Counted) -> None:
        """Keep the counts of a connection that ends."""
        self._ended = _sum(self._ended, connection.counts)

    def note(self, connections: Iterable[Counted]) -> None:
        """Bring the counts up to this moment; `connections` are those that are open."""
        found = self._ended
        for connection in connections:
            found = _sum(found, connection.counts)
        for count, value in zip(_COUNTS, found, strict=True):
            self._counts.set(count, value)


def _sum(counts: list[int], more: MessageCounts) -> list[int]:
    """Return the counts with those of a connection; the bytes are those of the bodies."""
    received, received_bytes, sent, sent_bytes = more
    of_bodies = (received, bodies(received, received_bytes), sent, bodies(sent, sent_bytes))
    return [count + one for count, one in zip(counts, of_bodies, strict=True)]
