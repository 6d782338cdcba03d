"""A clock that was a day ahead and is set right: nothing written meanwhile outlasts its own limit from then on."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Double, func, select

from common.errors import Refusal
from server.identity.accounts import Accounts
from server.identity.housekeeping import clear, correct_future
from server.identity.lockout import ELSEWHERE, MOST_FAILURES, Counter, Guess, Lockout
from server.identity.names import account_name
from server.identity.revocations import Revocations
from server.identity.sessions import Sessions
from server.identity.visitors import Visitors
from server.settings import LockoutOptions, RegistrationLimits, SessionOptions
from server.store.tables import TABLES, bus_processes, failures, revocations, servers
from tests.server.identity.session_case import SessionSteps
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres

ALICE = Counter("alice", ELSEWHERE)
DAY = 86400.0
HOME = "10.0.0.1"
LIMITS = RegistrationLimits(per_address_per_hour=2)


class Behaviour(SessionSteps):
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.lockout = Lockout(self.store, LockoutOptions(free_attempts=3, first_delay=30, max_delay=100))
        self.sessions = Sessions(self.store, SessionOptions(idle=1000, absolute=5000, per_user=3, renew_after=600))
        self.accounts = Accounts(self.store, LIMITS)
        self.visitors = Visitors(self.store, LIMITS)
        with self.store.writing() as transaction:
            self.account_id = self.accounts.add(transaction, account_name("alice"), "hash", None).id

    @contextlib.contextmanager
    def a_day_ahead(self: Any) -> Iterator[None]:
        self.now += DAY
        yield
        self.now -= DAY

    def count(self: Any, counter: Counter = ALICE) -> Guess:
        with self.store.writing() as transaction:
            guess: Guess = self.lockout.count(transaction, counter)
            return guess

    def locked_names(self: Any) -> Any:
        with self.store.reading() as transaction:
            return self.lockout.locked_names(transaction)

    def use(self: Any, token: str) -> None:
        """Find the session and write what is due, as a login does."""
        found = self.find(token)
        if found.note_due:
            with self.store.writing() as transaction:
                self.sessions.note_use(transaction, found.login.session_id)

    def register(self: Any, name: str) -> None:
        with self.store.writing() as transaction:
            self.accounts.add(transaction, account_name(name), "hash", HOME)

    def last_name(self: Any) -> Any:
        with self.store.reading() as transaction:
            return self.accounts.last_name_at(transaction, HOME)

    def note_login(self: Any, account_id: int) -> None:
        with self.store.writing() as transaction:
            self.accounts.note_login(transaction, account_id, HOME)

    def test_a_lock_lasts_no_longer_than_its_delay(self: Any) -> None:
        with self.a_day_ahead():
            for _ in range(5):
                self.count()
        self.assertEqual({"alice": self.now + 30}, self.locked_names())
        self.assertEqual(Guess(False, 30), self.count())
        self.now += 29
        self.assertEqual(Guess(False, 1), self.count())
        self.now += 1
        self.assertEqual(Guess(True, 60), self.count())

    def test_a_corrected_lock_ends_as_long_after_its_last_guess_as_before(self: Any) -> None:
        with self.a_day_ahead():
            for _ in range(4):
                self.count()
            self.now += 10
            self.count()
            self.now -= 10
        correct_future(self.store)
        self.assertEqual({"alice": self.now + 20}, self.locked_names())
        self.now += 20
        self.assertEqual({}, self.locked_names())
        self.assertTrue(self.count().is_allowed)

    def test_a_lock_of_today_and_a_block_for_ever_are_not_corrected(self: Any) -> None:
        with self.a_day_ahead():
            for _ in range(MOST_FAILURES):
                self.count()
                self.now += 101
            self.now -= 101 * MOST_FAILURES
        bob = Counter("bob", ELSEWHERE)
        for _ in range(4):
            self.count(bob)
        correct_future(self.store)
        self.assertEqual({"bob": self.now + 30}, self.locked_names())
        self.assertEqual(Guess(False, math.inf), self.count())

    def test_a_session_lasts_no_longer_than_its_limits(self: Any) -> None:
        with self.a_day_ahead():
            idle, used = self.open()[1], self.open()[1]
        self.use(idle)
        self.use(used)
        for _ in range(5):
            self.now += 999
            self.use(used)
        self.assertIsNone(self.find(idle))
        self.assertIsNotNone(self.find(used))
        self.now += 5
        self.assertIsNone(self.find(used))

    def test_a_renewed_session_lasts_no_longer_than_its_limits(self: Any) -> None:
        with self.a_day_ahead():
            session_id = self.open()[0]
        token = self.renew(session_id)
        for _ in range(5):
            self.now += 999
            token = self.renew(session_id)
        self.assertIsNotNone(self.find(token))
        self.now += 5
        self.assertIsNone(self.find(token))

    def test_a_corrected_session_that_is_never_used_expires(self: Any) -> None:
        with self.a_day_ahead():
            token = self.open()[1]
        correct_future(self.store)
        self.now += 999
        self.assertIsNotNone(self.find(token))
        self.now += 1
        self.assertIsNone(self.find(token))

    def test_a_token_is_due_for_renewal_in_time(self: Any) -> None:
        with self.a_day_ahead():
            token = self.open()[1]
        self.use(token)
        self.now += 600
        self.assertTrue(self.find(token).renewal_due)

    def test_a_previous_token_is_valid_for_no_longer_than_30_seconds(self: Any) -> None:
        with self.a_day_ahead():
            session_id, token = self.open()
            renewed = self.renew(session_id)
        self.assertIsNone(self.find(token))
        self.assertIsNotNone(self.find(renewed))
        correct_future(self.store)
        self.now += 30
        self.assertIsNone(self.find(token))
        self.assertIsNotNone(self.find(renewed))

    def test_a_new_session_does_not_give_way_to_sessions_from_the_future(self: Any) -> None:
        with self.a_day_ahead():
            tokens = [self.open()[1] for _ in range(3)]
        tokens.append(self.open()[1])
        self.assertEqual([False, True, True, True], [self.find(token) is not None for token in tokens])

    def test_accounts_count_for_the_limit_for_no_longer_than_an_hour(self: Any) -> None:
        with self.a_day_ahead():
            self.register("bob")
            self.register("carol")
        self.register("dave")
        correct_future(self.store)
        with self.assertRaises(Refusal):
            self.register("eve")
        self.now += 3600
        self.register("eve")
        self.now += DAY - 3600
        self.register("frank")

    def test_labels_count_for_the_limit_for_no_longer_than_an_hour(self: Any) -> None:
        with self.a_day_ahead():
            for number in (1, 2):
                self.visitors.introduce(f"2001:db8::{number}", "Bob")
        self.visitors.introduce("2001:db8::3", "Bob")
        self.now += DAY
        self.visitors.introduce("2001:db8::4", "Bob")

    def test_a_name_from_the_future_gives_way_to_one_of_today(self: Any) -> None:
        self.register("bob")
        with self.store.reading() as transaction:
            bob = self.accounts.find(transaction, account_name("bob")).id
        with self.a_day_ahead():
            self.note_login(self.account_id)
        self.note_login(bob)
        self.assertEqual("bob", self.last_name())
        self.now += 1
        correct_future(self.store)
        self.assertEqual("alice", self.last_name())
        self.now += 1
        self.note_login(bob)
        self.assertEqual("bob", self.last_name())

    def test_counters_and_revocations_are_deleted_in_time(self: Any) -> None:
        with self.a_day_ahead():
            self.count(Counter("nobody", ELSEWHERE))
            with self.store.writing() as transaction:
                for _ in range(2):
                    Revocations(self.store).add(transaction, self.account_id)
        correct_future(self.store)
        self.now += 3601
        clear(self.store)
        with self.store.reading() as transaction:
            self.assertEqual([], transaction.execute(select(failures)).all())
        self.now += DAY
        clear(self.store)
        with self.store.reading() as transaction:
            self.assertEqual([2], list(transaction.scalars(select(revocations.c.number))))

    def test_no_time_in_the_store_is_forgotten(self: Any) -> None:
        """Each column for times gets one from the future, and loses it. A new column must be added to both."""
        with self.a_day_ahead():
            self.register("bob")
            self.note_login(self.account_id)
            self.renew(self.open()[0])
            for _ in range(4):
                self.count()
            self.visitors.introduce(HOME, "Bob")
            with self.store.writing() as transaction:
                Revocations(self.store).add(transaction, self.account_id)
                transaction.execute(bus_processes.insert().values(origin="one", seen=self.now))
                transaction.execute(servers.insert().values(name="one", fingerprint="", seen=self.now))
        times = [column for table in TABLES.sorted_tables for column in table.c if isinstance(column.type, Double)]
        for check in (self.assertGreater, self.assertLessEqual):
            with self.store.reading() as transaction:
                for column in times:
                    check(transaction.scalar(select(func.max(column))), self.now + 30, str(column))
            correct_future(self.store)


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
