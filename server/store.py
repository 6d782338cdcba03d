"""The database: its engine and its transactions. Its tables are in tables.py; what they hold, the rule books know.

SQLAlchemy Core, one text for SQLite and PostgreSQL. Times are seconds since 1970, by the store's own clock.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import (
    Connection,
    Table,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from common import PROJECT_ROOT
from common.errors import StoreUnavailable
from server.private_files import make_private_file
from server.tables import TABLES

# A database that hangs must not hold a login, or the stop, for ever.
_POSTGRESQL = {
    "connect_timeout": 3,
    "tcp_user_timeout": 3000,
    "options": "-c statement_timeout=3000 -c lock_timeout=3000",
}
_BUSY_TIMEOUT = 3.0  # seconds that SQLite waits for another's transaction
# The values of a statement, which may be secret, are in no error and so in no traceback.
_ENGINE: dict[str, Any] = {"pool_timeout": 2, "hide_parameters": True}
_WRITERS_LOCK = 7_069_111  # any number, as long as all servers on one store have the same


def check_url(text: str) -> str | None:
    """What is wrong with a store's URL, or None; opens nothing."""
    try:
        url = make_url(text)
        dialect = url.get_dialect()
        dialect.import_dbapi()
        dialect().create_connect_args(url)
    except (ArgumentError, NoSuchModuleError, ValueError, TypeError) as error:
        return f"not a database URL: {error}"
    except ImportError as error:
        return f"the driver is not installed: {error}; for PostgreSQL see docs/operations.md"
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        return "SQLite needs a file, as in sqlite:///data/porter.db"
    return None


class Store:
    """An open database. Everything raises StoreUnavailable when the database cannot be used."""

    def __init__(self, url: str) -> None:
        """Open `url`, and make the file and tables that are missing."""
        if wrong := check_url(url):
            raise StoreUnavailable(f"store: {wrong}")
        parsed = make_url(url)
        self.insert: Callable[[Table], Any]
        if parsed.get_backend_name() == "sqlite":
            self.insert = sqlite.insert
            self._engine = _sqlite_engine(parsed)
        else:
            self.insert = postgresql.insert
            self._engine = _postgresql_engine(parsed)
        with self.writing() as transaction:
            TABLES.create_all(transaction)
            _refuse_other_tables(transaction)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write: all of it or nothing. Committed, and so acknowledged, when it is left.

        One at a time, on both databases: what it has read stays true until it ends.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            engine = self._engine.execution_options(writes=writes)
            with engine.begin() as connection:
                yield connection
        except (IntegrityError, ProgrammingError, DataError):
            raise  # not the database's fault but ours
        except (DBAPIError, PoolTimeout) as error:
            raise StoreUnavailable(f"the store cannot be used: {error.args[0]}") from error

    def now(self, transaction: Connection) -> float:
        """The store's clock, so that machines that share a store agree on what has expired."""
        if self._engine.dialect.name == "sqlite":
            return time.time()
        return float(transaction.scalar(sqlalchemy.text("SELECT extract(epoch FROM clock_timestamp())")))

    def close(self) -> None:
        self._engine.dispose()


def _refuse_other_tables(transaction: Connection) -> None:
    """Raise StoreUnavailable for tables that another version of Porter has made: now, and not at the first login."""
    inspector = sqlalchemy.inspect(transaction)
    for table in TABLES.sorted_tables:
        found = {column["name"] for column in inspector.get_columns(table.name)}
        if missing := sorted({column.name for column in table.columns} - found):
            raise StoreUnavailable(
                f"the store was made by another version of Porter: the table {table.name} has no {missing[0]}; "
                "move it away, or name another one"
            )


def _sqlite_engine(url: URL) -> sqlalchemy.Engine:
    path = PROJECT_ROOT / str(url.database)
    try:
        make_private_file(path)
    except OSError as error:
        raise StoreUnavailable(f"the store {path} cannot be used: {error.strerror}") from error

    def connect() -> "_SqliteConnection":
        identity = _identity(path)  # before it is opened: one that is replaced meanwhile is then opened again
        # rw: a file that has been taken away is an error, and not a new empty one.
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=_BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            factory=_SqliteConnection,
        )
        connection.identity = identity
        return connection

    engine = sqlalchemy.create_engine(url, creator=connect, **_ENGINE)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The rollback journal, since WAL can corrupt a file before SQLite 3.51.3 (sqlite.org/wal.html#walresetbug).
        # EXTRA syncs the folder as well: what was acknowledged survives a power cut.
        for pragma in ("synchronous = EXTRA", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "checkout")
    def follow(connection: Any, _record: Any, _proxy: Any) -> None:
        # Another file in the place of this one: whoever went on with this one would write what nobody reads.
        if connection.identity != _identity(path):
            raise DisconnectionError

    @event.listens_for(engine, "commit")
    def commit(connection: Connection) -> None:
        if connection.connection.driver_connection.identity != _identity(path):  # type: ignore[union-attr]
            raise StoreUnavailable(f"the store {path} was replaced during a transaction")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and then writes fails at once with "database is locked", whatever the
        # timeout, unless it takes the lock at its beginning.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class _SqliteConnection(sqlite3.Connection):
    identity: tuple[int, int] | None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file bears the name just now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _postgresql_engine(url: URL) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args=_POSTGRESQL, **_ENGINE)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # What BEGIN IMMEDIATE is to SQLite: two logins that count one guess each must not read the same count.
        if connection.get_execution_options().get("writes"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

    return engine
