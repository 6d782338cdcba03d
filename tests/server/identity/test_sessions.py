"""Sessions: their tokens log in, expire, are renewed and end."""

from typing import Any

from sqlalchemy import select

from server.identity.accounts import Accounts
from server.identity.names import account_name
from server.identity.revocations import Login
from server.identity.sessions import Found, Sessions
from server.settings import RegistrationLimits, SessionOptions
from server.store import tables
from tests.server.identity.session_case import SessionSteps
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres


class Behaviour(SessionSteps):
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        options = SessionOptions(idle=1000, absolute=5000, per_user=3, renew_after=600)
        self.sessions = Sessions(self.store, options)
        with self.store.writing() as transaction:
            accounts = Accounts(self.store, RegistrationLimits())
            self.account_id = accounts.add(transaction, account_name("alice"), "hash", None).id

    def test_a_token_finds_its_session(self: Any) -> None:
        session_id, token = self.open()
        login = Login(self.account_id, "alice", "alice", session_id, 0, None)
        self.assertEqual(Found(login, False, False), self.find(token))

    def test_tokens_are_long_and_differ(self: Any) -> None:
        tokens = [self.open()[1] for _ in range(3)]
        self.assertEqual((3, {43}), (len(set(tokens)), {len(token) for token in tokens}))

    def test_only_the_hashes_of_tokens_are_stored(self: Any) -> None:
        _, token = self.open()
        with self.store.reading() as transaction:
            self.assertNotIn(token, str(transaction.execute(select(tables.sessions)).all()))

    def test_an_unknown_token_finds_nothing(self: Any) -> None:
        self.open()
        for wrong in ("", "x", "x" * 43, "x" * 100_000, "\x00", "'; DROP TABLE sessions"):
            self.assertIsNone(self.find(wrong))

    def test_an_unused_session_expires(self: Any) -> None:
        session_id, token = self.open()
        self.now += 999
        with self.store.writing() as transaction:
            self.sessions.note_use(transaction, session_id)
        self.now += 999
        self.assertIsNotNone(self.find(token))
        self.now += 1
        self.assertIsNone(self.find(token))

    def test_no_session_outlives_the_absolute_limit_even_if_renewed(self: Any) -> None:
        session_id, token = self.open()
        for _ in range(5):
            self.now += 999
            token = self.renew(session_id)
        self.assertIsNotNone(self.find(token))
        self.now += 5
        self.assertIsNone(self.find(token))

    def test_a_use_is_recorded_at_most_once_a_minute(self: Any) -> None:
        _, token = self.open()
        self.now += 59
        self.assertFalse(self.find(token).note_due)
        self.now += 1
        self.assertTrue(self.find(token).note_due)

    def test_an_old_token_is_due_for_renewal(self: Any) -> None:
        session_id, token = self.open()
        self.now += 600
        self.assertTrue(self.find(token).renewal_due)
        self.assertFalse(self.find(self.renew(session_id)).renewal_due)

    def test_the_previous_token_is_valid_for_a_moment_and_due_for_renewal(self: Any) -> None:
        session_id, token = self.open()
        renewed = self.renew(session_id)
        self.now += 29
        self.assertEqual((session_id, True), (self.find(token).login.session_id, self.find(token).renewal_due))
        self.now += 1
        self.assertIsNone(self.find(token))
        self.assertIsNotNone(self.find(renewed))

    def test_only_the_latest_previous_token_is_valid(self: Any) -> None:
        session_id, token = self.open()
        second = self.renew(session_id)
        third = self.renew(session_id)
        self.assertIsNone(self.find(token))
        self.assertIsNotNone(self.find(second))
        self.assertIsNotNone(self.find(third))

    def test_the_oldest_session_ends_when_there_are_too_many(self: Any) -> None:
        tokens = []
        for _ in range(4):
            self.now += 1
            tokens.append(self.open()[1])
        self.assertEqual([False, True, True, True], [self.find(token) is not None for token in tokens])

    def test_no_token_of_an_ended_session_is_valid(self: Any) -> None:
        session_id, token = self.open()
        _, other = self.open()
        renewed = self.renew(session_id)
        with self.store.writing() as transaction:
            self.sessions.end(transaction, self.account_id, session_id)
        self.assertEqual([True, True, False], [self.find(t) is None for t in (token, renewed, other)])

    def test_all_sessions_can_be_ended_at_once(self: Any) -> None:
        tokens = [self.open()[1] for _ in range(2)]
        with self.store.writing() as transaction:
            self.assertEqual(2, self.sessions.end_all(transaction, self.account_id))
        self.assertEqual([None, None], [self.find(token) for token in tokens])


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
