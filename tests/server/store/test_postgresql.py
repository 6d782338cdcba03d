"""The store in a PostgreSQL that hangs, that refuses, that others have set otherwise, or behind a pooler."""

import os
import signal
import time
from unittest import mock

from sqlalchemy import Connection, delete, text
from sqlalchemy.exc import DBAPIError

from common.errors import StoreUnavailable
from server.store import postgresql
from server.store.database import Store
from server.store.tables import addresses
from tests.server.store.test_database import Behaviour
from tests.server.store_case import Pgbouncer, Postgres, StoreTestCase, needs_pgbouncer, needs_postgres
from tests.support import PATIENCE, scaled


def backend(store: Store) -> object:
    """Return the number of the session that the store uses."""
    with store.reading() as transaction:
        return transaction.scalar(text("SELECT pg_backend_pid()"))


def write(store: Store) -> None:
    with store.writing() as transaction:
        transaction.execute(delete(addresses))


@needs_postgres
class Hanging(Postgres, StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(postgresql, "_ANSWER_TIMEOUT", scaled(0.3)))

    def stop_backend(self, transaction: Connection) -> None:
        """Stop the process that serves this connection, as if its disk did not answer."""
        process = int(transaction.scalar(text("SELECT pg_backend_pid()")) or 0)
        os.kill(process, signal.SIGSTOP)
        self.addCleanup(os.kill, process, signal.SIGCONT)

    def test_a_transaction_without_an_answer_fails_in_time(self) -> None:
        start = time.monotonic()
        with self.assertRaisesRegex(StoreUnavailable, "cannot be used"), self.store.writing() as transaction:
            self.stop_backend(transaction)
            transaction.execute(text("SELECT 1"))
        self.assertLess(time.monotonic() - start, PATIENCE / 2)

    def test_a_commit_without_an_answer_is_not_acknowledged(self) -> None:
        with self.assertRaises(StoreUnavailable), self.store.writing() as transaction:
            self.stop_backend(transaction)

    def test_a_connection_that_hangs_is_replaced_by_another(self) -> None:
        for quiet in (1000.0, -1.0):  # seconds after which it is tried first
            self.enterContext(mock.patch.object(postgresql, "_QUIET", quiet))
            self.enterContext(mock.patch.object(postgresql, "_TRIAL", scaled(0.3)))
            process = int(str(backend(self.store)))
            os.kill(process, signal.SIGSTOP)
            self.addCleanup(os.kill, process, signal.SIGCONT)
            self.assertRaises(StoreUnavailable, backend, self.store)
            self.assertNotEqual(process, backend(self.store))

    def test_a_quiet_connection_that_was_ended_is_replaced_before_it_is_used(self) -> None:
        self.enterContext(mock.patch.object(postgresql, "_QUIET", -1.0))
        process = backend(self.store)
        self.command(f"SELECT pg_terminate_backend({process})")
        self.assertNotEqual(process, backend(self.store))


@needs_postgres
class Faults(Postgres, StoreTestCase):
    def raise_state(self, state: str) -> None:
        with self.store.writing() as transaction:
            transaction.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")

    def test_the_sqlstate_decides_whose_fault_it_is_and_whether_the_session_stays(self) -> None:
        for states, stays in (
            ("40001 40P01 53100 53200 54000 55P03 55000 57014 P0001", True),
            ("08006 25006 26000 28000 3D000 3F000 42501 42P01 42703 42P05 57P01 57P05 58030 XX000 XX001", False),
        ):
            for state in states.split():
                with self.subTest(state):
                    before = backend(self.store)
                    with self.assertRaisesRegex(StoreUnavailable, "^the store cannot be used: no$"):
                        self.raise_state(state)
                    self.assertEqual(stays, backend(self.store) == before)
        for state in ("22001", "22P02", "23505", "42601", "42883"):
            with self.subTest(state), self.assertRaises(DBAPIError):
                self.raise_state(state)

    def test_a_statement_that_is_prepared_already_gives_another_session(self) -> None:
        with self.assertRaisesRegex(StoreUnavailable, "already exists"), self.store.reading() as transaction:
            for _ in range(2):
                transaction.exec_driver_sql("PREPARE one AS SELECT 1")
        with self.store.reading() as transaction:
            transaction.exec_driver_sql("PREPARE one AS SELECT 1")

    def open(self, role: str, **more: str) -> Store:
        store = Store(self.store_url(role, **more))
        self.addCleanup(store.close)
        return store

    def test_a_session_that_began_read_only_is_replaced(self) -> None:
        self.add_role("servant")
        self.command("ALTER ROLE servant SET default_transaction_read_only = on")
        store = self.open("servant")
        for _ in range(2):
            with self.assertRaisesRegex(StoreUnavailable, "read-only transaction$"):
                write(store)
        self.command("ALTER ROLE servant RESET default_transaction_read_only")
        write(store)

    def test_all_sessions_that_began_read_only_are_replaced_after_one_failure(self) -> None:
        self.add_role("servant")
        self.command("ALTER ROLE servant SET default_transaction_read_only = on")
        store = self.open("servant")
        with store.reading(), store.reading(), store.reading():
            self.command("ALTER ROLE servant RESET default_transaction_read_only")
        with self.assertRaises(StoreUnavailable):
            write(store)
        with store.reading(), store.reading():
            write(store)

    def test_a_role_without_rights_is_refused_at_the_start_in_one_line(self) -> None:
        self.command("CREATE ROLE stranger LOGIN")
        self.addCleanup(self.command, "DROP ROLE stranger")
        self.command("CREATE SCHEMA closed")
        self.addCleanup(self.command, "DROP SCHEMA closed")
        for more in ("", "&options=-csearch_path%3Dclosed", "&options=-csearch_path%3Dmissing"):
            with self.subTest(more), self.assertRaises(StoreUnavailable) as caught:
                Store(self.store_url("stranger", more=more))
            self.assertRegex(
                str(caught.exception), r"\Athe store cannot be used: (permission denied|no schema)[^\n]*\Z"
            )
            self.assertNotRegex(str(caught.exception), "CREATE|SELECT")

    def test_rights_that_are_taken_and_given_back(self) -> None:
        self.add_role("servant")
        store = self.open("servant")
        write(store)
        self.command("REVOKE ALL ON addresses FROM servant")
        with self.assertRaisesRegex(StoreUnavailable, "^the store cannot be used: permission denied for table add"):
            write(store)
        self.command("GRANT ALL ON addresses TO servant")
        write(store)

    def test_tables_that_are_taken_away_and_put_back(self) -> None:
        self.command("ALTER TABLE addresses RENAME TO other")
        try:
            with self.assertRaisesRegex(StoreUnavailable, 'relation "addresses" does not exist$'):
                write(self.store)
        finally:
            self.command("ALTER TABLE other RENAME TO addresses")
        write(self.store)

    def test_a_database_that_cannot_hold_every_name_is_refused(self) -> None:
        self.command("CREATE DATABASE latin ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        self.addCleanup(self.command, "DROP DATABASE latin")
        with self.assertRaisesRegex(StoreUnavailable, "the encoding LATIN1 and not UTF8"):
            Store(self.store_url(database="latin"))


@needs_postgres
class OptionsOfTheUrl(Postgres, StoreTestCase):
    def show(self, setting: str, more: str) -> object:
        store = Store(self.store_url(more=more))
        try:
            with store.writing() as transaction:
                return transaction.scalar(text(f"SHOW {setting}"))
        finally:
            store.close()

    def test_the_tables_go_where_the_search_path_says(self) -> None:
        self.command("CREATE SCHEMA own")
        self.addCleanup(self.command, "DROP SCHEMA own CASCADE")
        self.assertEqual("own", self.show("search_path", "&options=-csearch_path%3Down"))
        with self.store.reading() as transaction:
            found = transaction.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'own'"))
        self.assertEqual(len(addresses.metadata.tables), found)

    def test_other_options_of_libpq_arrive(self) -> None:
        self.assertEqual("a porter", self.show("application_name", "&application_name=a%20porter"))
        with mock.patch.dict(os.environ, PGAPPNAME="from outside"):
            self.assertEqual("from outside", self.show("application_name", ""))

    def test_what_porter_relies_on_stays(self) -> None:
        changed = "&options=-cdefault_transaction_isolation%3Dserializable%20-cstatement_timeout%3D0"
        self.assertEqual("read committed", self.show("transaction_isolation", changed))
        self.assertEqual("3s", self.show("statement_timeout", changed))
        self.assertEqual("3s", self.show("lock_timeout", changed))
        with mock.patch.dict(os.environ, PGCLIENTENCODING="LATIN1"):
            self.assertEqual("UTF8", self.show("client_encoding", ""))

    def test_the_limits_end_with_the_transaction(self) -> None:
        with self.store.writing() as transaction:
            transaction.exec_driver_sql("COMMIT")
            self.assertEqual("0", transaction.scalar(text("SHOW statement_timeout")))

    def test_a_writer_does_not_wait_longer_than_the_limit(self) -> None:
        with (
            mock.patch.object(postgresql, "_LIMITS", "SET LOCAL lock_timeout = 100"),
            self.store.writing(),
            self.assertRaisesRegex(StoreUnavailable, "lock timeout$"),
        ):
            write(self.store)


@needs_pgbouncer
class BehindPgbouncer(Pgbouncer, Behaviour, StoreTestCase):
    def test_many_transactions_of_many_clients_share_the_sessions(self) -> None:
        stores = [Store(self.store_url()) for _ in range(4)]
        sessions = set()
        for _ in range(8):  # psycopg prepares a statement at its fifth use
            for store in stores:
                write(store)
                sessions.add(backend(store))
        for store in stores:
            store.close()
        self.assertLessEqual(len(sessions), 2)
