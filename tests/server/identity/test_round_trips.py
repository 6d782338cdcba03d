"""How often a login and a resume go to the database and back: far away, that is their time."""

from typing import Any
from unittest import mock

from server.identity.names import account_name
from server.store import postgresql
from tests.server.store.rates import HOME, steps
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres


@needs_postgres
class RoundTrips(Postgres, StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        del self.store.now
        self.logins = steps(self.store)
        self.name = account_name("alice")
        self.login = self.logins.register(self.name, "a password", HOME)
        self.trips = 0
        from psycopg.pq import TransactionStatus

        connection_class: Any = postgresql._bounded_connection()
        wait = connection_class.wait

        def count(connection: Any, gen: Any, *arguments: Any, **named: Any) -> Any:
            # To end what has not begun sends nothing.
            is_end = gen.__name__ in ("_commit_gen", "_rollback_gen")
            self.trips += not is_end or connection.pgconn.transaction_status != TransactionStatus.IDLE
            return wait(connection, gen, *arguments, **named)

        self.enterContext(mock.patch.object(connection_class, "wait", count))

    def test_a_login_takes_fifteen(self) -> None:
        self.logins.last_name_at(HOME)
        self.logins.is_new(self.name)
        self.logins.log_in(self.name, "a password", HOME)
        self.assertLessEqual(self.trips, 15)

    def test_a_resume_takes_two_and_four_if_its_use_is_noted(self) -> None:
        self.logins.resume("no token")
        self.assertLessEqual(self.trips, 2)
        self.trips = 0
        self.logins.resume(self.login.token or "")
        self.assertLessEqual(self.trips, 4)
