"""The engine for PostgreSQL, for several machines: one writer at a time, and a time limit. It knows no tables."""

from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL

if TYPE_CHECKING:
    import psycopg

# A database that hangs must not block a login, or the stop, for ever. The kernel, libpq and the PostgreSQL server
# enforce these limits.
_CONNECT_ARGUMENTS = {
    "connect_timeout": 3,
    "tcp_user_timeout": 3000,
    "options": "-c statement_timeout=3000 -c lock_timeout=3000",
}
_ANSWER_TIMEOUT = 4.0
"""Seconds to wait for an answer. This limit works even if the PostgreSQL server itself is stopped or hangs."""

_WRITERS_LOCK = 7_069_111  # any number, but the same for all servers on one store


def engine(url: URL, options: dict[str, Any]) -> sqlalchemy.Engine:
    """Return an engine whose writing transactions run one at a time."""
    created = sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args=_CONNECT_ARGUMENTS, **options)

    @event.listens_for(created, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> "psycopg.Connection[Any]":
        return _bounded_connection().connect(*arguments, **named)

    @event.listens_for(created, "begin")
    def begin(connection: Connection) -> None:
        # This lock is like BEGIN IMMEDIATE in SQLite: two logins that count a guess must not read the same count.
        if connection.get_execution_options().get("writes"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

    return created


@cache
def _bounded_connection() -> "type[psycopg.Connection[Any]]":
    import psycopg  # imported here, because it need not be installed

    class BoundedConnection(psycopg.Connection[Any]):
        """A connection that waits `_ANSWER_TIMEOUT` seconds for an answer, and closes if there is none."""

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, _ANSWER_TIMEOUT if timeout is None else timeout)
            except psycopg.errors.OperationalError as error:
                if error.sqlstate is None:  # no answer came, so this error is not from the server
                    self.pgconn.finish()
                raise

    return BoundedConnection
