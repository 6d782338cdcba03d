"""The store in a PostgreSQL that hangs: no answer is waited for long, and the next transaction is well."""

import os
import signal
import time
from unittest import mock

from sqlalchemy import Connection, text

from common.errors import StoreUnavailable
from server.store import postgresql
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE


@needs_postgres
class Hanging(Postgres, StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(postgresql, "_ANSWER_TIMEOUT", 0.3))

    def stop_backend(self, transaction: Connection) -> None:
        """Have the process that serves this connection stand still, as on a disk that does not answer."""
        process = int(transaction.scalar(text("SELECT pg_backend_pid()")) or 0)
        os.kill(process, signal.SIGSTOP)
        self.addCleanup(os.kill, process, signal.SIGCONT)

    def test_a_transaction_that_gets_no_answer_is_unavailable_in_time(self) -> None:
        start = time.monotonic()
        with self.assertRaisesRegex(StoreUnavailable, "cannot be used"), self.store.writing() as transaction:
            self.stop_backend(transaction)
            transaction.execute(text("SELECT 1"))
        self.assertLess(time.monotonic() - start, PATIENCE / 2)

    def test_a_commit_that_gets_no_answer_is_not_acknowledged(self) -> None:
        with self.assertRaises(StoreUnavailable), self.store.reading() as transaction:
            self.stop_backend(transaction)

    def test_a_connection_that_hangs_is_replaced_by_another(self) -> None:
        with self.store.reading() as transaction:
            process = int(transaction.scalar(text("SELECT pg_backend_pid()")) or 0)
        os.kill(process, signal.SIGSTOP)
        self.addCleanup(os.kill, process, signal.SIGCONT)
        with self.store.reading() as transaction:
            self.assertNotEqual(process, transaction.scalar(text("SELECT pg_backend_pid()")))
