"""The database: its engine and its transactions. Its tables are in tables.py; what they hold, the rule books know.

SQLAlchemy Core, one text for SQLite and PostgreSQL. Times are seconds since 1970, by the store's own clock.
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

# The values of a statement, which may be secret, are in no error and so in no traceback.
_OPTIONS: dict[str, Any] = {
    "pool_timeout": 2,
    "hide_parameters": True,
    "pool_size": 15,
    "max_overflow": 0,
    "pool_use_lifo": True,
}


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
            self.insert = sqlite_dialect.insert
            self._engine = sqlite.engine(parsed, _OPTIONS)
        else:
            self.insert = postgresql_dialect.insert
            self._engine = postgresql.engine(parsed, _OPTIONS)
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
        """A transaction that only reads."""
        with _transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write: all of it or nothing. Committed, and so acknowledged, when it is left.

        One at a time, on both databases: what it has read stays true until it ends.
        """
        with _transaction(self._writer) as connection:
            yield connection

    def now(self, transaction: Connection) -> float:
        """The store's clock, so that machines that share a store agree on what has expired."""
        if self._engine.dialect.name == "sqlite":
            return time.time()
        return float(transaction.scalar(sqlalchemy.text("SELECT extract(epoch FROM clock_timestamp())")))

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except (IntegrityError, ProgrammingError, DataError):
        raise  # not the database's fault but ours
    except (DBAPIError, PoolTimeout) as error:
        raise StoreUnavailable(f"the store cannot be used: {error.args[0]}") from error


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
