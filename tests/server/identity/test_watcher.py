"""The watcher: it ends what was ended elsewhere, and outlives a store that cannot be used."""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

from common.errors import SessionEnded, StoreUnavailable
from server.identity import watcher
from server.identity.revocations import Revocations
from server.identity.watcher import Watcher
from server.store.database import Store
from tests.server.store_case import StoreTestCase
from tests.support import PATIENCE


@dataclass(frozen=True)
class Someone:
    account_id: int
    session_id: int
    revision: int = 0


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

    def test_it_ends_who_is_meant_and_nobody_else(self) -> None:
        ended: list[str] = []

        def end(name: str) -> Callable[[SessionEnded], None]:
            return lambda error: ended.append(name)

        watching = self.start()
        with (
            watching.watching(Someone(1, 10), end("alice")),
            watching.watching(Someone(1, 11), end("alice too")),
            watching.watching(Someone(2, 20), end("bob")),
        ):
            watching.look()
            self.assertEqual([], ended)
            self.revoke(1, 10)
            watching.look()
            watching.look()
            self.assertEqual(["alice"], ended)
            self.revoke(1)
            watching.look()
            self.assertEqual(["alice", "alice", "alice too"], ended)

    def test_it_looks_without_being_told(self) -> None:
        ended = threading.Event()
        with self.start(interval=0.01).watching(Someone(1, 10), lambda error: ended.set()):
            self.revoke(1)
            self.assertTrue(ended.wait(PATIENCE))

    def test_who_left_is_not_ended(self) -> None:
        watching = self.start()
        with watching.watching(Someone(1, 10), self.fail):
            pass
        self.revoke(1)
        watching.look()
        self.assertEqual({}, watching._watched)

    def test_who_was_ended_before_being_watched_does_not_come_in(self) -> None:
        watching = self.start()
        self.revoke(1)
        watching.look()
        with self.assertRaises(SessionEnded), watching.watching(Someone(1, 10), self.fail):
            self.fail("came in")
        with watching.watching(Someone(1, 11, revision=1), self.fail):
            watching.look()

    def test_when_the_store_is_put_back_to_an_earlier_time_all_are_ended(self) -> None:
        ended = threading.Event()
        watching = self.start()
        store, backup = sqlite3.connect(self.folder / "data/porter.db"), sqlite3.connect(":memory:")
        store.backup(backup)
        self.revoke(2)
        watching.look()
        with watching.watching(Someone(1, 10, revision=1), lambda error: ended.set()):
            watching.look()
            self.assertFalse(ended.is_set())
            backup.backup(store)
            store.close()
            backup.close()
            watching.look()
            self.assertTrue(ended.is_set())
            ended.clear()
            watching.look()
            self.assertFalse(ended.is_set())
            self.revoke(1)
            watching.look()

    def test_a_store_that_cannot_be_used_is_told_once_and_looked_at_again(self) -> None:
        ended = threading.Event()
        answers = [StoreUnavailable("the store is gone")] * 3
        real = Revocations.since

        def since(*arguments: object) -> object:
            if answers:
                raise answers.pop()
            return real(*arguments)  # type: ignore[arg-type]

        with (
            mock.patch.object(Revocations, "since", since),
            self.assertLogs("porter.server", "ERROR") as logged,
            self.start(interval=0.01).watching(Someone(1, 10), lambda error: ended.set()),
        ):
            self.revoke(1)
            self.assertTrue(ended.wait(PATIENCE))
        self.assertEqual(1, len(logged.records))
        self.assertIn("the store is gone", logged.output[0])

    def test_it_outlives_a_fault_of_ours(self) -> None:
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
            self.start(interval=0.01)
            self.assertTrue(cleared.wait(PATIENCE))
