"""The tables: the rows that the database itself refuses."""

from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError

from server.store.tables import accounts, skeletons
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres

ACCOUNT = {
    "name": "Alice",
    "canonical": "alice",
    "password_hash": "",
    "password_version": 1,
    "source": "",
    "created": 0.0,
}


class Behaviour:
    def add(self: Any, **changes: object) -> int:
        with self.store.writing() as transaction:
            return int(transaction.execute(insert(accounts).values({**ACCOUNT, **changes})).inserted_primary_key[0])

    def test_a_name_and_a_skeleton_each_have_one_owner(self: Any) -> None:
        owner = self.add()
        self.assertRaises(IntegrityError, self.add)
        with self.assertRaises(IntegrityError), self.store.writing() as transaction:
            for _ in range(2):
                transaction.execute(insert(skeletons).values(skeleton="a1ice", account_id=owner))

    def test_a_row_cannot_belong_to_a_missing_account(self: Any) -> None:
        with self.assertRaises(IntegrityError), self.store.writing() as transaction:
            transaction.execute(insert(skeletons).values(skeleton="a1ice", account_id=7_777_777))

    def test_the_number_of_a_removed_account_is_not_used_again(self: Any) -> None:
        first = self.add()
        with self.store.writing() as transaction:
            transaction.execute(delete(accounts))
        self.assertGreater(self.add(), first)


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
