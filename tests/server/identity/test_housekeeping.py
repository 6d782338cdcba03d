"""Housekeeping: which rows are deleted and which stay."""

import math
from typing import Any

from sqlalchemy import select, update

from server.identity import housekeeping
from server.identity.accounts import Accounts
from server.identity.housekeeping import clear
from server.identity.lockout import ELSEWHERE, MOST_FAILURES, Counter, Guess, Lockout
from server.identity.names import account_name
from server.identity.revocations import Revocations
from server.settings import LockoutOptions, RegistrationLimits
from server.store.tables import failures, logins, revocations
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres

HOME = "10.0.0.1"


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.accounts = Accounts(self.store, RegistrationLimits())
        self.lockout = Lockout(self.store, LockoutOptions(free_attempts=1))
        with self.store.writing() as transaction:
            self.alice = self.accounts.add(transaction, account_name("alice"), "hash", HOME).id
            self.accounts.note_login(transaction, self.alice, HOME)

    def count(self: Any, counter: Counter) -> Guess:
        with self.store.writing() as transaction:
            guess: Guess = self.lockout.count(transaction, counter)
            return guess

    def counters(self: Any) -> set[tuple[str, str]]:
        with self.store.reading() as transaction:
            return {(row.canonical, row.source) for row in transaction.execute(select(failures))}

    def test_a_counter_of_an_unknown_name_is_deleted_an_hour_after_the_last_try(self: Any) -> None:
        for canonical in ("alice", "nobody"):
            self.count(Counter(canonical, ELSEWHERE))
        self.now += 3599
        clear(self.store)
        self.assertEqual({("alice", ELSEWHERE), ("nobody", ELSEWHERE)}, self.counters())
        self.now += 2
        clear(self.store)
        self.assertEqual({("alice", ELSEWHERE)}, self.counters())

    def test_a_counter_of_an_unfamiliar_source_is_deleted(self: Any) -> None:
        for source in (HOME, "10.0.0.2"):
            self.count(Counter("alice", source))
        self.now += 3601
        clear(self.store)
        self.assertEqual({("alice", HOME)}, self.counters())

    def test_a_blocked_account_stays_blocked(self: Any) -> None:
        counter = Counter("alice", ELSEWHERE)
        self.count(counter)
        with self.store.writing() as transaction:
            transaction.execute(update(failures).values(guesses=MOST_FAILURES - 1, locked_until=0.0))
        self.count(counter)
        self.now += 10 * 365 * 86400
        clear(self.store)
        self.assertFalse(self.count(counter).is_allowed)

    def test_the_block_of_an_unknown_name_ends_an_hour_after_the_last_try(self: Any) -> None:
        self.count(Counter("nobody", ELSEWHERE))
        with self.store.writing() as transaction:
            transaction.execute(update(failures).values(guesses=MOST_FAILURES, locked_until=math.inf))
        self.now += 3601
        clear(self.store)
        self.assertEqual(set(), self.counters())

    def test_only_the_latest_addresses_of_an_account_stay(self: Any) -> None:
        with self.store.writing() as transaction:
            for number in range(housekeeping._MOST_ADDRESSES):
                self.now += 1
                self.accounts.note_login(transaction, self.alice, f"10.0.1.{number}")
        clear(self.store)
        with self.store.reading() as transaction:
            left = set(transaction.scalars(select(logins.c.address)))
        self.assertEqual((housekeeping._MOST_ADDRESSES, False), (len(left), HOME in left))

    def test_old_revocations_are_deleted_except_the_latest(self: Any) -> None:
        book = Revocations(self.store)
        with self.store.writing() as transaction:
            book.add(transaction, self.alice)
            book.add(transaction, self.alice)
        self.now += 25 * 3600 + 1
        clear(self.store)
        with self.store.writing() as transaction:
            self.assertEqual([2], list(transaction.scalars(select(revocations.c.number))))


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
