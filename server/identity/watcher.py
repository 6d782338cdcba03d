"""The one thread of a process that keeps it in step with the store: it ends the connections of ended sessions.

Another process, or an administrator, may end a session whose connections are open here; nothing else tells. It also
has the store cleared now and then. It knows no sockets: how a connection is ended is told to it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from common.errors import SessionEnded, StoreUnavailable
from server.identity.housekeeping import clear
from server.identity.revocations import Login, Revocations
from server.store.database import Store

LOG = logging.getLogger("porter.server")
_INTERVAL = 0.6  # seconds; with what the ending itself takes, a connection is ended within one
_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class _Watched:
    login: Login
    end: Callable[[SessionEnded], None]


class Watcher:
    def __init__(self, store: Store, interval: float = _INTERVAL) -> None:
        self._store = store
        self._interval = interval
        self._revocations = Revocations(store)
        self._watched: dict[int, list[_Watched]] = {}  # by account
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._closed = threading.Event()
        with store.reading() as transaction:
            self._seen = self._revocations.revision(transaction)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, login: Login, end: Callable[[SessionEnded], None]) -> Iterator[None]:
        """Inside, `end` is called when the session is ended: in any thread, and it must not wait.

        Raises SessionEnded if that has happened since the login.
        """
        watched = _Watched(login, end)
        with self._lock:
            self._watched.setdefault(login.account_id, []).append(watched)
            seen = self._seen
        try:
            if seen > login.revision:  # what has been seen will not be looked at again
                with self._store.reading() as transaction:
                    if self._revocations.has_ended(transaction, login):
                        raise _ended()
            yield
        finally:
            with self._lock:
                others = self._watched[login.account_id]
                others.remove(watched)
                if not others:
                    del self._watched[login.account_id]

    def look(self) -> None:
        """Ask the store what has been ended, and end the connections here; raises StoreUnavailable."""
        with self._looking:
            with self._store.reading() as transaction:
                found = self._revocations.since(transaction, self._seen)
                latest = self._revocations.revision(transaction)
            # Under the lock, as is entering: who is not seen here sees `_seen`, and nobody's socket is closed.
            for revocation in found:
                with self._lock:
                    for watched in self._watched.get(revocation.account_id, ()):
                        if revocation.ends(watched.login):
                            watched.end(_ended())
                    self._seen = revocation.number
            if latest < self._seen:
                # The store has been put back to an earlier time: what has been ended since is not to be known.
                with self._lock:
                    for watched in chain.from_iterable(self._watched.values()):
                        watched.end(_ended())
                    self._seen = latest

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        failing = False
        clear_at = time.monotonic()
        while True:
            try:
                self.look()
                if time.monotonic() >= clear_at:
                    clear_at = time.monotonic() + _HOUR
                    clear(self._store)
                failing = False
            except StoreUnavailable as error:
                if not failing:
                    LOG.error("cannot see which sessions are ended elsewhere: %s", error)
                failing = True
            except Exception:  # this thread must outlive whatever one look runs into
                LOG.exception("the watcher failed")
            if self._closed.wait(self._interval):
                return


def _ended() -> SessionEnded:
    return SessionEnded("your session was ended")
