"""The store in a PostgreSQL that hangs: the wait for an answer is short, and the next transaction works."""

import os
import signal
import time
from unittest import mock

from sqlalchemy import Connection, text

from common.errors import StoreUnavailable
from server.store import postgresql
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE, scaled


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
        with self.assertRaises(StoreUnavailable), self.store.reading() as transaction:
            self.stop_backend(transaction)

    def test_a_connection_that_hangs_is_replaced_by_another(self) -> None:
        with self.store.reading() as transaction:
            process = int(transaction.scalar(text("SELECT pg_backend_pid()")) or 0)
        os.kill(process, signal.SIGSTOP)
        self.addCleanup(os.kill, process, signal.SIGCONT)
        with self.store.reading() as transaction:
            self.assertNotEqual(process, transaction.scalar(text("SELECT pg_backend_pid()")))
