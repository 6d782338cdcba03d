"""The thread that ends the open connections of ended sessions. Each process has one.

Another process or an administrator can end a session that has open connections here, so the thread polls the store.
It also clears old rows once an hour, and corrects times in the store when the clock is set back. It knows no sockets:
each connection gives it a function that ends it.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from common.errors import SessionEnded, StoreUnavailable
from server.identity.housekeeping import clear, correct_future
from server.identity.revocations import Login, Revocations
from server.store.database import Store

LOG = logging.getLogger("porter.server")
_INTERVAL = 0.6  # seconds; with the time for the ending itself, a connection is ended within one second
_HOUR = 3600.0
_CLOCK_TOLERANCE = 1.0  # seconds


@dataclass(frozen=True, eq=False)
class Watched:
    """A session with an open connection, and what ends the connection."""

    login: Login
    end: Callable[[SessionEnded], None]


class Watcher:
    """Polls the store in a thread of its own until `close`."""

    def __init__(self, store: Store, interval: float = _INTERVAL) -> None:
        """Start to poll `store` every `interval` seconds. Raise StoreUnavailable if the store fails."""
        self._store = store
        self._interval = interval
        self._revocations = Revocations(store)
        self._watched: dict[int, list[Watched]] = {}  # by account id
        self._lock = threading.Lock()
        self._poll_lock = threading.Lock()
        self._closed = threading.Event()
        self.is_failing = False  # whether the last look at the store has failed
        with store.reading() as transaction:
            self._latest_seen = self._revocations.revision(transaction)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def watch(self, login: Login, end: Callable[[SessionEnded], None]) -> Watched:
        """Watch the session until `unwatch`: `end` is called, in any thread, if it is ended. It must not block.

        Raise SessionEnded, and watch nothing, if the session was ended between the login and now.
        """
        watched = Watched(login, end)
        with self._lock:
            self._watched.setdefault(login.account_id, []).append(watched)
            seen = self._latest_seen
        try:
            if seen > login.revision:  # `poll` does not read these revocations again
                with self._store.reading() as transaction:
                    if self._revocations.has_ended(transaction, login):
                        raise _session_ended(login)
        except BaseException:
            self.unwatch(watched)
            raise
        return watched

    def unwatch(self, watched: Watched) -> None:
        """Watch a session no more: `end` is not called after this."""
        with self._lock:
            others = self._watched[watched.login.account_id]
            others.remove(watched)
            if not others:
                del self._watched[watched.login.account_id]

    def poll(self) -> None:
        """Read the new revocations and end their connections here. Raise StoreUnavailable if the store fails."""
        with self._poll_lock:
            with self._store.reading() as transaction:
                found = self._revocations.since(transaction, self._latest_seen)
                latest = self._revocations.revision(transaction)
            # `watching` uses the same lock. A connection that enters too late for this loop sees the new value of
            # `_latest_seen` and asks the store itself. A connection in the loop cannot leave, so its socket is open.
            for revocation in found:
                with self._lock:
                    for watched in self._watched.get(revocation.account_id, ()):
                        if revocation.ends(watched.login):
                            watched.end(_session_ended(watched.login))
                    self._latest_seen = revocation.number
            if latest < self._latest_seen:
                # An older copy of the store was restored, and the revocations since that copy are lost. So all
                # connections end.
                with self._lock:
                    for watched in chain.from_iterable(self._watched.values()):
                        watched.end(_session_ended(watched.login))
                    self._latest_seen = latest

    def close(self) -> None:
        """End the thread and wait for it."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        clear_at = time.monotonic()
        difference = _clock_difference()
        while True:
            try:
                self.poll()
                set_back = difference - _clock_difference()
                if set_back > _CLOCK_TOLERANCE:
                    correct_future(self._store)
                    LOG.warning("the clock was set back by %d seconds", round(set_back))
                    difference -= set_back
                difference = max(difference, _clock_difference())
                if time.monotonic() >= clear_at:
                    clear_at = time.monotonic() + _HOUR
                    correct_future(self._store)
                    clear(self._store)
                self.is_failing = False
            except StoreUnavailable as error:
                if not self.is_failing:
                    LOG.warning("cannot see which sessions are ended elsewhere: %s", error)
                self.is_failing = True
            except Exception:  # this thread must survive any error of one round
                LOG.exception("the watcher failed")
            if self._closed.wait(self._interval):
                return


def _clock_difference() -> float:
    """Return by how many seconds the clock of this machine is ahead of the monotonic clock, which nobody can set."""
    return time.time() - time.monotonic()


def _session_ended(login: Login) -> SessionEnded:
    return SessionEnded("your session was ended", reason=f"the session of {login.name} was ended")
