"""The watcher: it ends sessions that were ended elsewhere, and survives a store that cannot be used."""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

from sqlalchemy import select, update

from common.errors import SessionEnded, StoreUnavailable
from server.identity import watcher
from server.identity.housekeeping import correct_future
from server.identity.revocations import Login, Revocations
from server.identity.watcher import Watcher
from server.store.database import Store
from server.store.tables import revocations
from tests.server.store_case import StoreTestCase
from tests.support import PATIENCE, scaled


class _Clock:
    """A clock that is `ahead` of the monotonic one by some seconds, in place of the module `time`."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._read: queue.Queue[float] = queue.Queue()

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        self._read.put(self.ahead)
        return time.monotonic() + self.ahead

    def wait_until_read(self) -> None:
        """Wait until a whole round of the watcher has read the clock as it is now."""
        for _ in range(3):
            while self._read.get(timeout=PATIENCE) != self.ahead:
                pass


def login(account_id: int, session_id: int, revision: int = 0) -> Login:
    return Login(account_id, "Alice", "alice", session_id, revision, token=None)


@contextmanager
def watching(watcher: Watcher, login: Login, end: Callable[[SessionEnded], None]) -> Iterator[None]:
    """Watch a session inside."""
    watched = watcher.watch(login, end)
    try:
        yield
    finally:
        watcher.unwatch(watched)


class WatcherTests(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.revocations = Revocations(self.store)

    def start(self, interval: float = PATIENCE) -> Watcher:
        made = Watcher(self.store, interval)
        self.addCleanup(made.close)
        return made

    def revoke(self, account_id: int, session_id: int | None = None) -> None:
        with self.store.writing() as transaction:
            self.revocations.add(transaction, account_id, session_id)

    def test_a_revocation_ends_only_its_own_sessions(self) -> None:
        ended: list[str] = []

        def end(name: str) -> Callable[[SessionEnded], None]:
            return lambda error: ended.append(name)

        polling = self.start()
        with (
            watching(polling, login(1, 10), end("alice")),
            watching(polling, login(1, 11), end("alice too")),
            watching(polling, login(2, 20), end("bob")),
        ):
            polling.poll()
            self.assertEqual([], ended)
            self.revoke(1, 10)
            polling.poll()
            polling.poll()
            self.assertEqual(["alice"], ended)
            self.revoke(1)
            polling.poll()
            self.assertEqual(["alice", "alice", "alice too"], ended)

    def test_the_watcher_polls_by_itself(self) -> None:
        ended = threading.Event()
        with watching(self.start(interval=scaled(0.01)), login(1, 10), lambda error: ended.set()):
            self.revoke(1)
            self.assertTrue(ended.wait(PATIENCE))

    def test_a_login_that_has_left_is_not_ended(self) -> None:
        polling = self.start()
        with watching(polling, login(1, 10), self.fail):
            pass
        self.revoke(1)
        polling.poll()
        self.assertEqual({}, polling._watched)

    def test_a_login_ended_before_it_is_watched_is_refused(self) -> None:
        polling = self.start()
        self.revoke(1)
        polling.poll()
        with self.assertRaises(SessionEnded), watching(polling, login(1, 10), self.fail):
            self.fail("came in")
        with watching(polling, login(1, 11, revision=1), self.fail):
            polling.poll()

    def test_a_store_restored_from_a_backup_ends_all_sessions(self) -> None:
        ended = threading.Event()
        polling = self.start()
        store, backup = sqlite3.connect(self.folder / "data/porter.db"), sqlite3.connect(":memory:")
        store.backup(backup)
        self.revoke(2)
        polling.poll()
        with watching(polling, login(1, 10, revision=1), lambda error: ended.set()):
            polling.poll()
            self.assertFalse(ended.is_set())
            backup.backup(store)
            store.close()
            backup.close()
            polling.poll()
            self.assertTrue(ended.is_set())
            ended.clear()
            polling.poll()
            self.assertFalse(ended.is_set())
            self.revoke(1)
            polling.poll()

    def test_an_unavailable_store_is_logged_once_and_polled_again(self) -> None:
        ended = threading.Event()
        answers = [StoreUnavailable("the store is gone")] * 3
        real = Revocations.since

        def since(*arguments: object) -> object:
            if answers:
                raise answers.pop()
            return real(*arguments)  # type: ignore[arg-type]

        with (
            mock.patch.object(Revocations, "since", since),
            self.assertLogs("porter.server", "WARNING") as logged,
            watching(self.start(interval=scaled(0.01)), login(1, 10), lambda error: ended.set()),
        ):
            self.revoke(1)
            self.assertTrue(ended.wait(PATIENCE))
        self.assertEqual(1, len(logged.records))
        self.assertIn("the store is gone", logged.output[0])

    def test_the_watcher_survives_a_programming_error(self) -> None:
        calls: list[Store] = []
        cleared = threading.Event()

        def clear(store: Store) -> None:
            calls.append(store)
            if len(calls) < 3:
                raise KeyError
            cleared.set()

        with (
            mock.patch.object(watcher, "_HOUR", 0.0),
            mock.patch.object(watcher, "clear", clear),
            self.assertLogs("porter.server", "ERROR"),
        ):
            self.start(interval=scaled(0.01))
            self.assertTrue(cleared.wait(PATIENCE))

    def test_the_error_names_the_owner_of_the_session_for_the_log_only(self) -> None:
        errors: list[SessionEnded] = []
        polling = self.start()
        with watching(polling, login(1, 10), errors.append):
            self.revoke(1)
            polling.poll()
        with self.assertRaises(SessionEnded) as caught, watching(polling, login(1, 11), self.fail):
            self.fail("came in")
        for error in (*errors, caught.exception):
            self.assertEqual(("your session was ended", "the session of Alice was ended"), (str(error), error.reason))

    def test_times_from_the_future_are_corrected_at_the_start_and_when_the_clock_is_set_back(self) -> None:
        with self.store.writing() as transaction:
            self.revocations.add(transaction, 1)
        corrected = threading.Event()
        clock = _Clock()

        def correct(store: Store) -> None:
            correct_future(store)
            corrected.set()

        def is_corrected() -> bool:
            self.assertTrue(corrected.wait(PATIENCE))
            with self.store.reading() as transaction:
                return transaction.scalar(select(revocations.c.created)) == self.now

        def move_to_the_future() -> None:
            with self.store.writing() as transaction:
                transaction.execute(update(revocations).values(created=self.now + 86400))
            corrected.clear()

        move_to_the_future()
        with (
            mock.patch.object(watcher, "time", clock),
            mock.patch.object(watcher, "correct_future", correct),
            self.assertLogs("porter.server", "WARNING") as logged,
        ):
            watching = Watcher(self.store, scaled(0.01))
            try:
                self.assertTrue(is_corrected())
                move_to_the_future()
                clock.ahead = 86400.0
                clock.wait_until_read()
                clock.ahead = 0.0
                self.assertTrue(is_corrected())
            finally:
                watching.close()
        self.assertEqual(["WARNING:porter.server:the clock was set back by 86400 seconds"], logged.output)
