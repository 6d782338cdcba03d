"""The engine for PostgreSQL, for several machines: locks for writers, and time limits. It knows no tables."""

import hashlib
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import ArgumentError, DisconnectionError

from common.errors import StoreUnavailable

if TYPE_CHECKING:
    import psycopg

# A database that hangs must not block a login, or the stop, for ever. The kernel, libpq and the PostgreSQL server
# enforce these limits. The URL may give others.
_CONNECT_ARGUMENTS = {
    "connect_timeout": 3,
    "tcp_user_timeout": 3000,
    "client_encoding": "UTF8",  # whatever PGCLIENTENCODING says
    "prepare_threshold": None,  # a transaction pooler gives each transaction a session where others have prepared
}
_ANSWER_TIMEOUT = 4.0
"""Seconds to wait for an answer. This limit works even if the PostgreSQL server itself is stopped or hangs."""

_PARTS = {"user": "username", "password": "password", "host": "host", "port": "port", "dbname": "database"}
"""The options of libpq that stand before the question mark of a URL, and what SQLAlchemy calls them."""

_LIMITS = "SET LOCAL statement_timeout = 3000; SET LOCAL lock_timeout = 3000"
# Advisory locks: any numbers, but the same for all servers on one store.
_WRITERS_LOCK = 7_069_111  # exclusive for a writer that is alone, shared by those that lock one subject
_SUBJECTS = 7_069_112  # the class of the locks of subjects
NOW = "SELECT extract(epoch FROM clock_timestamp())::double precision"
_QUIET = 1.0  # seconds without use after which a connection is tried before it is used
_TRIAL = 1.0  # seconds to wait for the answer to the trial

_DROP, _KEEP = True, False
_DATABASE_FAULTS = {
    "08": _DROP,  # the connection failed
    "25006": _DROP,  # read-only: a session that began so stays so, when the role or the server has long changed
    "26000": _DROP,  # a prepared statement is missing or there already: a pooler has exchanged the session
    "42P05": _DROP,
    "28": _DROP,  # the role may not log in
    "3D": _DROP,  # the database is missing
    "3F": _DROP,  # the schema is missing
    "42501": _DROP,  # no right to a table or schema: the session's role may have been another
    "42P01": _DROP,  # a table or column was taken away, or the session's search_path looks elsewhere
    "42703": _DROP,
    "40": _KEEP,  # undone because of another transaction
    "53": _KEEP,  # disk, memory or connections used up
    "54": _KEEP,  # a limit of the server
    "55": _KEEP,  # not in the right state, for example locked for too long
    "57014": _KEEP,  # the statement took too long
    "57": _DROP,  # an administrator stopped it
    "58": _DROP,  # the operating system failed
    "P0": _KEEP,  # a trigger of the administrator refused it
    "XX": _DROP,  # damaged data, or a bug of PostgreSQL
}
"""The SQLSTATEs, whole or by class, that blame the database, and whether the session may be spoilt and is dropped.

All others blame this program: a wrong statement, value or key. PostgreSQL's manual lists them in appendix A.
"""


def is_database_fault(error: BaseException | None) -> bool:
    """Return whether PostgreSQL reports with `error` that it cannot be used now, and not a bug of this program."""
    return _fault(error) is not None


def check_url(url: URL) -> str | None:
    """Return why `url` cannot be used, or None. Quote nothing of it."""
    try:
        from psycopg.pq import Conninfo
    except ImportError as error:
        return f"the driver is not installed: {error}; for PostgreSQL see docs/operations.md"
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for number, (key, value) in enumerate(url.query.items(), start=1):
        if key not in known:
            return (
                f"option {number} after the question mark is not one that PostgreSQL knows: see Parameter Key Words "
                "in its manual (libpq)"
            )
        if not isinstance(value, str) and key != "host":
            return f"the option {key} is given twice"
    for key, part in _PARTS.items():
        if getattr(url, part) and key in url.query:
            return f"{key} is given twice, before the question mark and after it"
    if url.port is not None and not 0 < url.port < 65536:
        return "the port is not a number from 1 to 65535"
    if "client_encoding" in url.query:
        return "client_encoding is always UTF8: leave it out"
    try:
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        return "hosts and ports do not fit: write ?host=HOST:PORT&host=HOST:PORT"
    return None


def lock(subject: str) -> str:
    """Return the statement that waits until no other transaction has the lock of this subject."""
    number = int.from_bytes(hashlib.blake2b(subject.encode(), digest_size=4).digest(), "big", signed=True)
    return f"SELECT pg_advisory_xact_lock({_SUBJECTS}, {number})"


def engine(url: URL, options: dict[str, Any]) -> sqlalchemy.Engine:
    """Return an engine for single statements, and for transactions that lock what their option `writes` says.

    True is everything, a text is one subject; without the option there is no transaction: each statement is one. Each
    trip to the database counts, so the beginning of a transaction, its limits, its locks and the time are one.
    """
    created = sqlalchemy.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        connect_args={key: value for key, value in _CONNECT_ARGUMENTS.items() if key not in url.query},
        **options,
    )

    @event.listens_for(created, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> "psycopg.Connection[Any]":
        # For pg_stat_activity; an application_name of the URL comes before it.
        named.setdefault("fallback_application_name", f"porter {os.uname().nodename} {os.getpid()}")
        connection = _bounded_connection().connect(*arguments, **named)
        encoding = connection.info.parameter_status("server_encoding")
        if encoding not in ("UTF8", None):
            connection.close()
            raise StoreUnavailable(
                "the store cannot be used: the database has the encoding {encoding} and not UTF8; make another one",
                encoding=encoding,
            )
        return connection

    @event.listens_for(created, "checkin")
    def note_use(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(created, "checkout")
    def try_quiet(connection: "psycopg.Connection[Any]", record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", time.monotonic()) > _QUIET:
            _try(connection)

    @event.listens_for(created, "begin")
    def begin(connection: Connection) -> None:
        # The limits last for the transaction, not for the session, which a transaction pooler lends to others. The
        # isolation level is said because the role may have another default: with it, a writer that has waited would
        # read what was before its turn. The time comes last, after the wait for the locks.
        writes = connection.get_execution_options().get("writes")
        if writes:
            shared = "" if writes is True else "_shared"
            statements = [f"BEGIN ISOLATION LEVEL READ COMMITTED; {_LIMITS}"]
            statements.append(f"SELECT pg_advisory_xact_lock{shared}({_WRITERS_LOCK})")
            statements += [] if writes is True else [lock(writes)]
            connection.info["now"] = connection.exec_driver_sql("; ".join([*statements, NOW])).scalar()

    @event.listens_for(created, "handle_error")
    def drop_spoilt_sessions(context: ExceptionContext) -> None:
        if _fault(context.original_exception) == _DROP:
            context.is_disconnect = True  # drops all that wait in the pool, too: they are likely to be the same

    return created


class Listener:
    """A connection of its own, which no pool lends to others, that is told when somebody notifies a channel."""

    def __init__(self, engine: sqlalchemy.Engine, channel: str) -> None:
        """Listen. Raise StoreUnavailable if the database cannot be reached."""
        import psycopg

        try:
            pooled = engine.raw_connection()
            self._connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
            pooled.detach()
            try:
                self._connection.autocommit = True
                self._connection.execute(f"LISTEN {channel}".encode())
            except BaseException:
                self.close()
                raise
        except psycopg.Error as error:
            raise StoreUnavailable("the store cannot be used: {reason}", reason=error) from error

    def fileno(self) -> int:
        return self._connection.fileno()

    def take_in(self) -> int:
        """Return how many notices have come. Do not wait. Raise StoreUnavailable if the connection is lost."""
        import psycopg

        count = 0
        try:
            self._connection.pgconn.consume_input()
            while self._connection.pgconn.notifies() is not None:
                count += 1
        except psycopg.Error as error:
            raise StoreUnavailable("the connection to the database is lost: {reason}", reason=error) from error
        return count

    def close(self) -> None:
        self._connection.close()


def _fault(error: BaseException | None) -> bool | None:
    """Return what `_DATABASE_FAULTS` says about `error`, or None."""
    state = getattr(error, "sqlstate", None) or ""
    return _DATABASE_FAULTS.get(state, _DATABASE_FAULTS.get(state[:2]))


def _try(connection: "psycopg.Connection[Any]") -> None:
    """Find out whether a connection that was quiet still works.

    Raise DisconnectionError, so that the pool opens another one, if it is broken, and StoreUnavailable if there is no
    answer: another one would wait as long.
    """
    import psycopg

    start = time.monotonic()
    connection.answer_timeout = _TRIAL  # type: ignore[attr-defined]
    try:
        connection.execute("")
    except psycopg.Error as error:
        if time.monotonic() - start < _TRIAL:
            raise DisconnectionError from error
        raise StoreUnavailable(
            "the store cannot be used: no answer within {seconds:g} seconds", seconds=_TRIAL
        ) from error
    connection.answer_timeout = _ANSWER_TIMEOUT  # type: ignore[attr-defined]


@cache
def _bounded_connection() -> "type[psycopg.Connection[Any]]":
    import psycopg  # imported here, because it need not be installed

    class LastResult(psycopg.Cursor[Any]):
        """A cursor whose rows are those of the last of several statements."""

        def execute(self, *arguments: Any, **named: Any) -> Any:
            super().execute(*arguments, **named)
            while self.nextset():
                pass
            return self

    class BoundedConnection(psycopg.Connection[Any]):
        """A connection that waits `answer_timeout` seconds for an answer, and closes if there is none."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.answer_timeout = _ANSWER_TIMEOUT
            self.cursor_factory = LastResult

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, self.answer_timeout if timeout is None else timeout)
            except psycopg.errors.OperationalError as error:
                if error.sqlstate is None:  # no answer came, so this error is not from the server
                    self.pgconn.finish()
                raise

    return BoundedConnection
