"""The database: its engine and its transactions. It does not know what the rows mean: see server/identity.

It uses SQLAlchemy Core, with the same queries for SQLite and PostgreSQL. Times are seconds since 1970, by the store's
own clock.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy
from sqlalchemy import Connection, Engine, Table, select, text
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

from common.errors import StoreUnavailable, WrongStoreVersion
from server.store import postgresql, sqlite, versions
from server.store.tables import TABLES, mode_steps

_ENGINE_OPTIONS: dict[str, Any] = {
    "pool_timeout": 2,  # seconds
    "hide_parameters": True,  # the values of a statement can be secret; no error and no traceback shows them
    "max_overflow": 0,
    "pool_use_lifo": True,
}
_POOL = 15


Step = str | Callable[[Connection], object]
"""One change of the tables of a mode."""

_FORMS = "write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE"
_MISREAD = re.compile(
    r".*@.*@"  # an @ that is no separator
    r"|(\[[^]]*\]|[^:/?@]*)(:\d*)?[/?].*@"  # what stands before the @ is HOST:PORT/... and not USER:PASSWORD
    r"|(.*@)?\[[^]]*\][^:/?]"  # something unknown after [IPv6]
)
"""What SQLAlchemy reads in another way than it is meant, after the two slashes of a URL with a host."""


def check_url(text: str) -> str | None:
    """Return why `text` cannot be the URL of a store, or None. Open nothing.

    The reason quotes nothing of `text`: if that is misread, a piece of the password may be anywhere.
    """
    scheme, _, rest = text.partition("://")
    if re.search(r"[\0-\x1f\x7f]", text):
        return "not a database URL: there is a line break or another control character in it"
    if not scheme.startswith("sqlite") and _MISREAD.match(rest):
        return (
            "not a database URL: an @ in a user name, a password or an option must be written as %40, and : / ? # "
            "as %3A %2F %3F %23"
        )
    try:
        url = make_url(text)
        kind = url.get_backend_name(), url.get_dialect().driver
    except (ArgumentError, NoSuchModuleError, ValueError):  # SQLAlchemy's own texts quote the URL
        return f"not a database URL: {_FORMS}"
    query = rest.rpartition("@")[2].partition("?")[2]
    if len(parse_qsl(query, keep_blank_values=True)) != len(parse_qsl(query)):
        return "not a database URL: an option after the question mark has no value"
    match kind:
        case ("sqlite", "pysqlite"):
            return sqlite.check_url(url)
        case ("postgresql", "psycopg"):
            return postgresql.check_url(url)
    return f"the store can only be in SQLite or PostgreSQL: {_FORMS}"


class Store:
    """An open database. All methods raise StoreUnavailable if the database cannot be used."""

    def __init__(self, url: str, pool: int = _POOL) -> None:
        """Open the database at `url`, with `pool` connections at most; make file and tables if they are missing.

        Raise WrongStoreVersion if the tables are older or newer than this program.
        """
        self._engine = open_engine(url, pool)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self.insert: Callable[[Table], Any] = sqlite_dialect.insert if self._is_sqlite else postgresql_dialect.insert
        try:
            with self.writing() as connection:
                versions.prepare(connection)
                _refuse_other_tables(connection)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read inside. On PostgreSQL each statement sees the store at a moment of its own."""
        with transaction(self._engine, None) as connection:
            yield connection

    @contextmanager
    def writing(self, subject: str | None = None) -> Iterator[Connection]:
        """Hold a writing transaction inside. The end of the block commits it; an error undoes all of it.

        Only one runs at a time, so the rows that it has read do not change before it ends. On PostgreSQL, writers of
        different subjects, for example of two accounts, run at the same time; without a subject one runs alone.
        """
        with transaction(self._engine, True if subject is None else subject) as connection:
            yield connection

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """Write one statement inside that depends on nothing that was read, and locks nothing but its rows."""
        with transaction(self._engine, self._is_sqlite) as connection:
            yield connection

    def lock(self, transaction: Connection, subject: str) -> None:
        """Let no other transaction that does the same go on before this one ends. SQLite has one writer anyway."""
        if not self._is_sqlite:
            transaction.exec_driver_sql(postgresql.lock(subject))

    def migrate(self, mode: str, steps: Sequence[Step]) -> None:
        """Make or change the tables of a mode: do the steps that were not done yet, in order, all or none.

        A step is a text in SQL or a function that gets the transaction. What has been released is never changed, only
        added to. The tables' names begin with the mode's. Raise WrongStoreVersion if more steps were done than there
        are: another server runs a newer mode.
        """
        with self.writing() as transaction:
            done = transaction.scalar(select(mode_steps.c.done).where(mode_steps.c.mode == mode)) or 0
            if done > len(steps):
                raise WrongStoreVersion(
                    "the store has newer tables of the mode {mode}: {done} steps are done, {known} are known here",
                    mode=mode,
                    done=done,
                    known=len(steps),
                )
            for step in steps[done:]:
                transaction.execute(text(step)) if isinstance(step, str) else step(transaction)
            row = self.insert(mode_steps).values(mode=mode, done=len(steps))
            transaction.execute(row.on_conflict_do_update(index_elements=["mode"], set_={"done": len(steps)}))

    def listen(self, channel: str) -> postgresql.Listener:
        """Return a connection that hears the notices of a channel. Only PostgreSQL has them."""
        with faults_explained(self._engine):
            return postgresql.Listener(self._engine, channel)

    def now(self, transaction: Connection) -> float:
        """Return the time in seconds since 1970. Machines that share a store share its clock, and agree on expiry.

        On PostgreSQL it is the time at which a writing transaction got its locks.
        """
        if self._is_sqlite:
            return time.time()
        if transaction.get_execution_options()["writes"]:
            return float(transaction.info["now"])
        return float(transaction.exec_driver_sql(postgresql.NOW).scalar_one())

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()


def open_engine(url: str, pool: int = _POOL) -> Engine:
    """Return an engine for the database at `url`; an SQLite file is made if it is missing. Raise StoreUnavailable."""
    if wrong := check_url(url):
        raise StoreUnavailable("the store cannot be used: {reason}", reason=wrong)
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return sqlite.engine(parsed, {**_ENGINE_OPTIONS, "pool_size": pool})
    return postgresql.engine(parsed, {**_ENGINE_OPTIONS, "pool_size": pool})


@contextmanager
def transaction(engine: Engine, writes: str | bool | None) -> Iterator[Connection]:
    """Hold a transaction inside. Raise StoreUnavailable.

    `writes` is True for one that runs alone, or the subject that it locks, or false for one that only reads.
    """
    with faults_explained(engine), engine.connect() as connection:
        connection.execution_options(writes=writes)
        with connection.begin():
            yield connection


@contextmanager
def faults_explained(engine: Engine) -> Iterator[None]:
    """Raise StoreUnavailable for a failure of the database inside."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable("the store cannot be used: all connections to it are busy") from error
    except DBAPIError as error:
        ours = isinstance(error, (IntegrityError, ProgrammingError, DataError))
        if ours and not postgresql.is_database_fault(error.orig):
            raise  # a bug of this program, and not a failure of the database
        raise StoreUnavailable(
            "the store cannot be used: {reason}{more}",
            reason=_first_line(error.orig),
            more=sqlite.explain(engine.url, error.orig),
        ) from error


def _first_line(error: BaseException | None) -> str:
    """Return what the driver says, without the statement and other details on further lines."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _refuse_other_tables(transaction: Connection) -> None:
    """Raise StoreUnavailable if another version of Porter made the tables, or DBAPIError if they cannot be read.

    This is found at the start, and not at the first login.
    """
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
        transaction.execute(sqlalchemy.select(table).limit(0))  # fails without the right to read it
