"""The store: transactions, privacy, failures, on both databases."""

import threading
import time
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from common.errors import StoreUnavailable
from server.store.database import Store, check_url
from server.store.tables import addresses
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE, PorterTestCase


class Behaviour:
    store: Store

    def add(self: Any, address: str) -> None:
        with self.store.writing() as transaction:
            row = {"address": address, "name": "x", "source": address, "created": 0.0}
            transaction.execute(self.store.insert(addresses).values(row))

    def count(self: Any) -> int:
        with self.store.reading() as transaction:
            return int(transaction.scalar(select(func.count()).select_from(addresses)))

    def test_written_rows_are_there_when_the_store_is_opened_again(self: Any) -> None:
        self.add("a")
        again = Store(self.store_url())
        try:
            with again.reading() as transaction:
                self.assertEqual("x", transaction.scalar(select(addresses.c.name)))
        finally:
            again.close()

    def test_tables_of_another_version_are_refused_at_once(self: Any) -> None:
        with self.store.writing() as transaction:
            transaction.exec_driver_sql("ALTER TABLE addresses RENAME COLUMN created TO since")
        url = self.store_url()
        try:
            with self.assertRaisesRegex(StoreUnavailable, "the table addresses has no column created"):
                Store(url)
        finally:
            with self.store.writing() as transaction:
                transaction.exec_driver_sql("ALTER TABLE addresses RENAME COLUMN since TO created")

    def test_a_failed_transaction_leaves_nothing(self: Any) -> None:
        with self.assertRaises(KeyError), self.store.writing() as transaction:
            row = {"address": "a", "name": "x", "source": "a", "created": 0.0}
            transaction.execute(self.store.insert(addresses).values(row))
            raise KeyError
        self.assertEqual(0, self.count())

    def test_a_broken_constraint_is_a_programming_error_and_not_a_store_failure(self: Any) -> None:
        self.add("a")
        with self.assertRaises(IntegrityError) as caught:
            self.add("a")
        self.assertIn("parameters hidden", str(caught.exception))

    def test_many_threads_that_read_and_then_write_lose_nothing(self: Any) -> None:
        self.add("a")
        failures = []

        def count_up() -> None:
            try:
                for _ in range(10):
                    with self.store.writing() as transaction:
                        row = transaction.execute(select(addresses).with_for_update()).one()
                        values = {"created": row.created + 1}
                        transaction.execute(addresses.update().values(values))
            except StoreUnavailable as error:
                failures.append(error)

        threads = [threading.Thread(target=count_up) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual([], failures)
        with self.store.reading() as transaction:
            self.assertEqual(80.0, transaction.scalar(select(addresses.c.created)))

    def test_the_store_clock_agrees_with_the_local_clock(self: Any) -> None:
        del self.store.now
        with self.store.reading() as transaction:
            self.assertAlmostEqual(time.time(), self.store.now(transaction), delta=5)


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass


class Urls(PorterTestCase):
    def test_a_wrong_url_is_explained(self) -> None:
        for url, wrong in (
            ("sqlite:///data/porter.db", None),
            ("nonsense", "not a database URL"),
            ("nosuch://x", "not a database URL"),
            ("sqlite:///:memory:", "needs a file"),
            ("mssql+pyodbc://x", "is not installed"),
        ):
            with self.subTest(url):
                found = check_url(url)
                self.assertEqual(wrong is None, found is None)
                self.assertIn(wrong or "", found or "")
