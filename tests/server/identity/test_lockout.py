"""The lockout: its delays, compared with a model, and its counters."""

import contextlib
import math
import sqlite3
import threading
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from server.identity import lockout
from server.identity.lockout import ELSEWHERE, MOST_FAILURES, Counter, Guess, Lockout
from server.settings import LockoutOptions
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE

ALICE = Counter("alice", ELSEWHERE)


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.lockout = Lockout(self.store, LockoutOptions(free_attempts=3, first_delay=30, max_delay=100))

    def count(self: Any, counter: Counter) -> Guess:
        with self.store.writing() as transaction:
            guess: Guess = self.lockout.count(transaction, counter)
            return guess

    def allows(self: Any, counter: Counter) -> bool:
        return bool(self.count(counter).is_allowed)

    def forgive(self: Any, counter: Counter) -> None:
        with self.store.writing() as transaction:
            self.lockout.forgive(transaction, counter)

    def test_the_free_attempts_are_free_and_the_next_one_locks(self: Any) -> None:
        self.assertEqual([True] * 4 + [False], [self.allows(ALICE) for _ in range(5)])

    def test_the_delay_doubles_up_to_the_maximum(self: Any) -> None:
        for _ in range(3):
            self.allows(ALICE)
        for delay in (30, 60, 100, 100):
            self.assertTrue(self.allows(ALICE))
            self.now += delay - 1
            self.assertFalse(self.allows(ALICE))
            self.now += 1.5

    def test_attempts_while_locked_do_not_prolong_the_lock(self: Any) -> None:
        for _ in range(4):
            self.allows(ALICE)
        for _ in range(50):
            self.now += 0.5
            self.assertFalse(self.allows(ALICE))
        self.now += 5.5
        self.assertTrue(self.allows(ALICE))

    def test_the_right_password_resets_the_counter(self: Any) -> None:
        for _ in range(3):
            self.allows(ALICE)
        self.forgive(ALICE)
        self.assertEqual([True] * 4 + [False], [self.allows(ALICE) for _ in range(5)])

    def test_each_address_and_each_name_has_its_own_counter(self: Any) -> None:
        for _ in range(4):
            self.allows(ALICE)
        self.assertTrue(self.allows(Counter("alice", "10.0.0.1")))
        self.assertTrue(self.allows(Counter("bob", ELSEWHERE)))

    def test_a_guess_says_how_long_the_lock_lasts(self: Any) -> None:
        self.assertEqual([0, 0, 0, 30], [self.count(ALICE).locked_for for _ in range(4)])
        self.now += 10
        self.assertEqual(Guess(False, 20), self.count(ALICE))

    def test_forgetting_a_name_resets_all_its_counters(self: Any) -> None:
        at_home = Counter("alice", "10.0.0.1")
        for _ in range(4):
            self.allows(ALICE)
            self.allows(at_home)
        with self.store.writing() as transaction:
            self.lockout.forget(transaction, "alice")
        self.assertEqual([True, True], [self.allows(ALICE), self.allows(at_home)])

    def test_after_too_many_failures_elsewhere_the_lock_lasts_until_it_is_forgotten(self: Any) -> None:
        home = Counter("alice", "10.0.0.1")
        for counter in (ALICE, home):
            for _ in range(MOST_FAILURES):
                self.assertTrue(self.allows(counter))
                self.now += 101
        self.now += 10 * 365 * 86400
        self.assertEqual([False, True], [self.allows(ALICE), self.allows(home)])
        with self.store.writing() as transaction:
            self.assertEqual({"alice"}, self.lockout.blocked(transaction))
            self.lockout.forget(transaction, "alice")
            self.assertEqual(set(), self.lockout.blocked(transaction))
        self.assertTrue(self.allows(ALICE))

    def test_each_simultaneous_guess_is_counted(self: Any) -> None:
        allowed: list[bool] = []
        threads = [threading.Thread(target=lambda: allowed.append(self.allows(ALICE))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual([4, 16], [allowed.count(True), allowed.count(False)])


OUTCOMES = ["wrong", "wrong", "wrong", "right"]


class OnSqlite(Behaviour, StoreTestCase):
    def test_a_refused_guess_is_written_like_a_counted_one(self) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "data" / "porter.db")) as other:
            versions = []
            for _ in range(8):
                self.now += 0.001
                self.allows(ALICE)
                versions.append(other.execute("PRAGMA data_version").fetchone()[0])
        self.assertEqual(8, len(set(versions)))

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([ALICE, Counter("alice", "10.0.0.1")]),
                st.sampled_from(OUTCOMES),
                st.sampled_from([0.0, 10.0, 40.0, 120.0]),
            ),
            max_size=30,
        )
    )
    def test_the_lockout_agrees_with_the_model(self, guesses: list[tuple[Counter, str, float]]) -> None:
        """Compare with three free attempts, then 30 s, 60 s, 100 s; elsewhere the sixth failure locks for ever."""
        with self.store.writing() as transaction:
            self.lockout.forget(transaction, "alice")
        counts: dict[Counter, int] = {}
        locked_until: dict[Counter, float] = {}
        with mock.patch.object(lockout, "MOST_FAILURES", 6):
            for counter, outcome, pause in guesses:
                self.now += pause
                guess = self.count(counter)
                allowed = locked_until.get(counter, 0.0) <= self.now
                self.assertEqual(allowed, guess.is_allowed)
                if not allowed:
                    self.assertEqual(locked_until[counter] - self.now, guess.locked_for)
                elif outcome == "right":
                    self.forgive(counter)
                    counts[counter], locked_until[counter] = 0, 0.0
                else:
                    count = counts[counter] = counts.get(counter, 0) + 1
                    delay = min(30.0 * 2 ** (count - 4), 100.0) if count > 3 else 0.0
                    delay = math.inf if counter == ALICE and count >= 6 else delay
                    self.assertEqual(delay, guess.locked_for)
                    locked_until[counter] = self.now + delay


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
