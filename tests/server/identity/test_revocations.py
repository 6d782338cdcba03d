"""Revocations: which logins each of them ends."""

from dataclasses import replace
from typing import Any

from server.identity.revocations import Login, Revocation, Revocations
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres

ALICE = Login(account_id=1, name="Alice", canonical="alice", session_id=10, revision=0, token=None)


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.revocations = Revocations(self.store)

    def add(self: Any, account_id: int, session_id: int | None = None) -> None:
        with self.store.writing() as transaction:
            self.revocations.add(transaction, account_id, session_id)

    def revision(self: Any) -> int:
        with self.store.reading() as transaction:
            return int(self.revocations.revision(transaction))

    def has_ended(self: Any, login: Login) -> bool:
        with self.store.reading() as transaction:
            return bool(self.revocations.has_ended(transaction, login))

    def test_each_revocation_has_a_higher_number_than_the_one_before(self: Any) -> None:
        self.assertEqual(0, self.revision())
        self.add(1)
        self.add(2, 20)
        with self.store.reading() as transaction:
            self.assertEqual([Revocation(1, 1, None), Revocation(2, 2, 20)], self.revocations.since(transaction, 0))
            self.assertEqual([Revocation(2, 2, 20)], self.revocations.since(transaction, 1))
        self.assertEqual(2, self.revision())

    def test_a_revocation_of_an_account_ends_all_its_earlier_logins(self: Any) -> None:
        self.add(1)
        self.assertTrue(self.has_ended(ALICE))
        self.assertTrue(self.has_ended(replace(ALICE, session_id=11)))
        self.assertFalse(self.has_ended(replace(ALICE, account_id=2)))
        self.assertFalse(self.has_ended(replace(ALICE, revision=self.revision())))

    def test_a_revocation_of_a_session_ends_no_other_session(self: Any) -> None:
        self.add(1, 10)
        self.assertTrue(self.has_ended(ALICE))
        self.assertFalse(self.has_ended(replace(ALICE, session_id=11)))


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
