"""The store: transactions, privacy, failures, on both databases."""

import sys
import threading
import time
from typing import Any
from unittest import mock

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from common.errors import StoreUnavailable
from server.store import database
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

    def test_a_store_that_is_busy_is_unavailable(self: Any) -> None:
        with mock.patch.dict(database._ENGINE_OPTIONS, {"pool_timeout": 0}):
            store = Store(self.store_url(), pool=1)
        self.addCleanup(store.close)
        with store.reading(), self.assertRaisesRegex(StoreUnavailable, "connections to it are busy"), store.reading():
            self.fail("one connection is lent twice")

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
    def check(self, good: list[str], bad: list[tuple[str, str]]) -> None:
        for url in good:
            with self.subTest(url):
                self.assertIsNone(check_url(url))
        for url, wrong in bad:
            with self.subTest(url):
                self.assertIn(wrong, check_url(url) or "it is taken")

    def test_a_wrong_url_is_explained(self) -> None:
        self.check(
            ["sqlite:///data/porter.db"],
            [
                ("nonsense", "not a database URL"),
                ("", "not a database URL"),
                ("nosuch://x", "not a database URL"),
                ("sqlite:///:memory:", "needs a file"),
                (f"sqlite:///{self.folder}", "is a folder"),
                ("sqlite+aiosqlite:///x.db", "only be in SQLite or PostgreSQL"),
                ("mssql+pyodbc://x", "only be in SQLite or PostgreSQL"),
                ("postgresql+psycopg2://u@h/d", "only be in SQLite or PostgreSQL"),
                ("sqlite:///x.db\n", "a line break"),
            ],
        )

    def test_a_missing_driver_is_named(self) -> None:
        with mock.patch.dict(sys.modules, {"psycopg.pq": None}):
            self.check([], [("postgresql+psycopg://u@h/d", "the driver is not installed")])

    def test_nothing_in_an_sqlite_url_is_ignored(self) -> None:
        self.check(
            ["sqlite:////home/me@example.org/porter.db", "sqlite:///a%3Fb#c.db"],
            [
                ("sqlite:///x.db?mode=ro", "has no options"),
                ("sqlite:///x.db?mode=", "has no value"),
                ("sqlite:///file:x.db", "needs a file"),
                ("sqlite:///file:x.db?uri=true", "has no options"),
                ("sqlite://data/porter.db", "three slashes"),
                ("sqlite://:5432/porter.db", "three slashes"),
                ("sqlite://me@/porter.db", "three slashes"),
                ("sqlite://:word@/porter.db", "three slashes"),
            ],
        )

    @needs_postgres
    def test_nothing_in_a_postgresql_url_is_ignored(self) -> None:
        start = "postgresql+psycopg://u@"
        self.check(
            [
                "postgresql://u@h/d",
                "postgresql+psycopg://",
                f"{start}h/d?sslmode=verify-full&sslrootcert=/x&application_name=porter&connect_timeout=9",
                f"{start}h/d?options=-csearch_path%3Down",
                f"{start}/d?host=/run/postgresql",
                f"{start}/d?host=a:1&host=b:2&target_session_attrs=read-write",
                f"{start}/d?host=a,b&port=1,2",
                f"{start}[::1]:5432/d",
            ],
            [
                (f"{start}h/d?sslmod=require", "option 1 after the question mark"),
                (f"{start}h/d?sslmode=require&prepare_threshold=3", "option 2 after the question mark"),
                (f"{start}h/d?autocommit=1", "not one that PostgreSQL knows"),
                (f"{start}h/d?plugin=x", "not one that PostgreSQL knows"),
                (f"{start}h/d?sslmode", "has no value"),
                (f"{start}h/d?sslmode=", "has no value"),
                (f"{start}h/d?sslmode=require&sslmode=disable", "sslmode is given twice"),
                (f"{start}a/d?host=b", "host is given twice"),
                (f"{start}h:1/d?port=2", "port is given twice"),
                (f"{start}h/d?user=v", "user is given twice"),
                (f"{start}h/d?dbname=e", "dbname is given twice"),
                (f"{start}h/d?client_encoding=latin1", "client_encoding is always UTF8"),
                (f"{start}/d?host=a,b&port=1,2,3", "hosts and ports do not fit"),
                (f"{start}h:99999/d", "the port is not a number"),
                (f"{start}[::1]5432/d", "not a database URL"),
            ],
        )

    @needs_postgres
    def test_a_password_that_is_misread_is_refused_and_never_quoted(self) -> None:
        start = "postgresql+psycopg://porter:"
        for url in (
            f"{start}one@secret@h/d",
            f"{start}one@secret/x@h:5432/d",
            f"{start}one@secret?x@h/d",
            f"{start}one@secret:x@h/d",
            f"{start}one@h/secret@x",
            f"{start}one@h/d?user=secret@x",
            f"{start}secret",
            f"{start}one@h:secret/d",
            f"{start}12/secret@h/d",
            f"{start}one@h/d?secret=1",
            f"{start}one@h/d?secret",
            "secret",
            "secret://porter@h/d",
            "postgresql+psycopg://h/secret?user=me@example.org",
            "postgresql+psycopg://[::1]:5432/secret?user=me@example.org",
            "sqlite://porter:secret@h/d",
            "sqlite:///x.db?secret=1",
        ):
            with self.subTest(url):
                self.assertIsNotNone(wrong := check_url(url))
                self.assertNotIn("secret", wrong or "")
                with self.assertRaises(StoreUnavailable) as caught:
                    Store(url)
                self.assertNotIn("secret", str(caught.exception))
        self.assertIn("as %40", check_url(f"{start}one@secret@h/d") or "")

    @needs_postgres
    def test_a_password_with_other_signs_is_read_right(self) -> None:
        self.check([f"postgresql+psycopg://porter:{word}@h/d" for word in ("a%40b", "a/b", "a?b", "a#b", "a:b")], [])

    @needs_postgres
    def test_no_error_of_the_driver_holds_the_password(self) -> None:
        for url in (
            "postgresql+psycopg://porter:secret@127.0.0.1:1/d",
            "postgresql+psycopg://porter:secret@127.0.0.1:1/d?sslmode=no",
            "postgresql+psycopg://porter:secret@/d?host=127.0.0.1,127.0.0.2&port=1,1",
            "postgresql+psycopg://porter@127.0.0.1:1/d?password=secret&sslrootcert=/missing&sslmode=verify-full",
        ):
            with self.subTest(url):
                with self.assertRaises(StoreUnavailable) as caught:
                    Store(url)
                self.assertNotIn("secret", str(caught.exception))
                self.assertNotIn("\n", str(caught.exception))
