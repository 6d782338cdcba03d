"""The database: its engine and its transactions. It does not know what the rows mean: see server/identity.

It uses SQLAlchemy Core, with the same queries for SQLite and PostgreSQL. Times are seconds since 1970, by the store's
own clock.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from common.errors import StoreUnavailable
from server.store import postgresql, sqlite
from server.store.tables import TABLES

_ENGINE_OPTIONS: dict[str, Any] = {
    "pool_timeout": 2,  # seconds
    "hide_parameters": True,  # the values of a statement can be secret; no error and no traceback shows them
    "pool_size": 15,
    "max_overflow": 0,
    "pool_use_lifo": True,
}


def check_url(text: str) -> str | None:
    """Return why `text` cannot be the URL of a store, or None. Open nothing."""
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
    """An open database. All methods raise StoreUnavailable if the database cannot be used."""

    def __init__(self, url: str) -> None:
        """Open the database at `url`, and make the file and the tables if they are missing."""
        if wrong := check_url(url):
            raise StoreUnavailable("the store cannot be used: {reason}", reason=wrong)
        parsed = make_url(url)
        self.insert: Callable[[Table], Any]
        if parsed.get_backend_name() == "sqlite":
            self.insert = sqlite_dialect.insert
            self._engine = sqlite.engine(parsed, _ENGINE_OPTIONS)
        else:
            self.insert = postgresql_dialect.insert
            self._engine = postgresql.engine(parsed, _ENGINE_OPTIONS)
        self._reader = self._engine.execution_options(writes=False)
        self._writer = self._engine.execution_options(writes=True)
        try:
            with self.writing() as transaction:
                TABLES.create_all(transaction)
                _refuse_other_tables(transaction)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Hold a read-only transaction inside."""
        with _transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold a writing transaction inside. The end of the block commits it; an error undoes all of it.

        Only one runs at a time, on both databases, so the rows that it has read do not change before it ends.
        """
        with _transaction(self._writer) as connection:
            yield connection

    def now(self, transaction: Connection) -> float:
        """Return the time in seconds since 1970. Machines that share a store share its clock, and agree on expiry."""
        if self._engine.dialect.name == "sqlite":
            return time.time()
        return float(transaction.scalar(sqlalchemy.text("SELECT extract(epoch FROM clock_timestamp())")))

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except (IntegrityError, ProgrammingError, DataError):
        raise  # a bug of this program, and not a failure of the database
    except (DBAPIError, PoolTimeout) as error:
        raise StoreUnavailable("the store cannot be used: {reason}", reason=error.args[0]) from error


def _refuse_other_tables(transaction: Connection) -> None:
    """Raise StoreUnavailable if another version of Porter made the tables: at the start, not at the first login."""
    inspector = sqlalchemy.inspect(transaction)
    for table in TABLES.sorted_tables:
        found = {column["name"] for column in inspector.get_columns(table.name)}
        if missing := sorted({column.name for column in table.columns} - found):
            raise StoreUnavailable(
                "another version of Porter made this store: the table {table} has no column {column}; "
                "move the store away, or name another one",
                table=table.name,
                column=missing[0],
            )
