"""The store in a PostgreSQL, for several machines: one writer at a time, and an answer in time or none."""

from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL

if TYPE_CHECKING:
    import psycopg

# A database that hangs must not hold a login, or the stop, for ever: these are the server's and the kernel's part.
_CONNECT = {
    "connect_timeout": 3,
    "tcp_user_timeout": 3000,
    "options": "-c statement_timeout=3000 -c lock_timeout=3000",
}
_ANSWER_TIMEOUT = 4.0
"""Seconds until an answer, for a server that is stopped or stuck itself."""

_WRITERS_LOCK = 7_069_111  # any number, as long as all servers on one store have the same


def engine(url: URL, options: dict[str, Any]) -> sqlalchemy.Engine:
    made = sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args=_CONNECT, **options)

    @event.listens_for(made, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> "psycopg.Connection[Any]":
        return _bounded_connection().connect(*arguments, **named)

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # What BEGIN IMMEDIATE is to SQLite: two logins that count one guess each must not read the same count.
        if connection.get_execution_options().get("writes"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

    return made


@cache
def _bounded_connection() -> "type[psycopg.Connection[Any]]":
    import psycopg  # by those who use it, since it need not be installed

    class BoundedConnection(psycopg.Connection[Any]):
        """One that waits for no answer longer than it may, and is of no use afterwards."""

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, _ANSWER_TIMEOUT if timeout is None else timeout)
            except psycopg.errors.OperationalError as error:
                if error.sqlstate is None:  # not an answer
                    self.pgconn.finish()
                raise

    return BoundedConnection
