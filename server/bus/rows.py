"""A carrier between servers that share a PostgreSQL database: rows with numbers, read every half second.

LISTEN and NOTIFY only wake a server early, so nothing is lost if they fail. A server that gives no sign of life for
eight seconds is told to the others as ended.
"""

import contextlib
import logging
import secrets
import select
import time
from collections.abc import Sequence

from sqlalchemy import Insert, delete, func, text, update
from sqlalchemy import select as select_rows

from common.errors import StoreUnavailable
from common.wire.waker import Waker
from server.bus.bus import MOST, Entry
from server.store.database import Store
from server.store.postgresql import Listener
from server.store.tables import bus_entries, bus_processes

LOG = logging.getLogger("porter.server")
_KEPT = 10_000  # rows
_CHANNEL = "porter_bus"
# In seconds.
_BEAT = 2.0  # between two signs of life
_LOST = 8.0  # without one
_PATIENCE = 1.0  # for the own NOTIFY
_BETWEEN_TRIES = 5.0  # to listen


class Rows:
    """The rows of the database, as the carrier of one process."""

    def __init__(self, store: Store, *, listens: bool = True) -> None:
        """Use this store. With `listens` it takes one more connection, to be woken early."""
        self.origin = secrets.token_hex(8)
        self._store = store
        self._waker = Waker()
        self._listener: Listener | None = None
        self._listens_at = 0.0 if listens else float("inf")  # infinite behind a pooler, too
        self._beats_at = 0.0
        self._beaten_at: float | None = None  # by the store's clock

    def append(self, entries: Sequence[tuple[str, str]]) -> None:
        with self._store.writing(_CHANNEL) as transaction:
            rows = [{"origin": self.origin, "topic": topic, "text": said.encode()} for topic, said in entries]
            transaction.execute(bus_entries.insert(), rows)
            transaction.execute(text(f"NOTIFY {_CHANNEL}"))

    def after(self, number: int) -> list[Entry]:
        if time.monotonic() >= self._beats_at:
            self._beat()
            self._beats_at = time.monotonic() + _BEAT
        rows = select_rows(bus_entries).where(bus_entries.c.number > number).order_by(bus_entries.c.number)
        with self._store.reading() as transaction:
            return [
                Entry(row.number, row.origin, row.topic, row.text.decode())
                for row in transaction.execute(rows.limit(MOST))
            ]

    def latest(self) -> int:
        with self._store.reading() as transaction:
            return transaction.scalar(select_rows(func.max(bus_entries.c.number))) or 0

    def wait(self, seconds: float) -> None:
        if self._listener is None and time.monotonic() >= self._listens_at:
            self._listen()
        self._waker.wait(None if self._listener is None else self._listener.fileno(), select.POLLIN, seconds)
        if self._listener is not None:
            try:
                self._listener.take_in()
            except StoreUnavailable:  # the next turn finds out whether the database is there
                self._listener.close()
                self._listener = None

    def wake(self) -> None:
        self._waker.wake()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._waker.close()
        try:
            with self._store.writing(_CHANNEL) as transaction:
                transaction.execute(delete(bus_processes).where(bus_processes.c.origin == self.origin))
                transaction.execute(_over(self.origin))
        except StoreUnavailable as error:
            LOG.warning("the other servers will miss this one in %d seconds only: %s", _LOST, error)

    def _beat(self) -> None:
        """Give a sign of life, tell of servers that give none any more, and remove old rows."""
        with self._store.writing(_CHANNEL) as transaction:
            now = self._store.now(transaction)
            alive = update(bus_processes).where(bus_processes.c.origin == self.origin).values(seen=now)
            if not transaction.execute(alive).rowcount:
                transaction.execute(bus_processes.insert().values(origin=self.origin, seen=now))
                if self._beaten_at is not None:  # others took this one for dead
                    transaction.execute(_over(self.origin))
            # If the last one is long ago, the database was away, for the others too.
            if self._beaten_at is not None and now - self._beaten_at < _LOST / 2:
                silent = delete(bus_processes).where(bus_processes.c.seen < now - _LOST)
                for origin in transaction.scalars(silent.returning(bus_processes.c.origin)).all():
                    transaction.execute(_over(origin))
            newest = select_rows(func.max(bus_entries.c.number)).scalar_subquery()
            transaction.execute(delete(bus_entries).where(bus_entries.c.number <= newest - _KEPT))
        self._beaten_at = now

    def _listen(self) -> None:
        """Listen on a connection of its own, if that can be: a transaction pooler lets no notice through.

        Of a fault the next turn tells.
        """
        self._listens_at = time.monotonic() + _BETWEEN_TRIES
        with (
            contextlib.suppress(StoreUnavailable),
            contextlib.ExitStack() as opened,
        ):  # the next turn tells of a fault
            listener = self._store.listen(_CHANNEL)
            opened.callback(listener.close)
            with self._store.writing(_CHANNEL) as transaction:
                transaction.execute(text(f"NOTIFY {_CHANNEL}"))
            poller = select.poll()
            poller.register(listener, select.POLLIN)
            poller.poll(_PATIENCE * 1000)
            if listener.take_in():
                self._listener = listener
                opened.pop_all()
            else:
                self._listens_at = float("inf")
                LOG.info("a pooler in front of the database lets no NOTIFY through: the bus looks every half second")


def _over(origin: str) -> Insert:
    """Return the statement that tells all that what they know of a process is over."""
    return bus_entries.insert().values(origin=origin, topic="", text=b"")
