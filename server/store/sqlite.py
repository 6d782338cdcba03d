"""The store in a file of SQLite's: durable, locked for one writer at a time, and the file that bears the name."""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError

from common import PROJECT_ROOT
from common.errors import StoreUnavailable
from common.private_files import make_private_file

_BUSY_TIMEOUT = 3.0  # seconds to wait for another's transaction


def engine(url: URL, options: dict[str, Any]) -> sqlalchemy.Engine:
    """Whose writing transactions take the lock at once; raises StoreUnavailable if the file cannot be made."""
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

    made = sqlalchemy.create_engine(url, creator=connect, **options)

    @event.listens_for(made, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The rollback journal, since WAL can corrupt a file before SQLite 3.51.3 (sqlite.org/wal.html#walresetbug).
        # EXTRA syncs the folder as well: what was acknowledged survives a power cut.
        for pragma in ("synchronous = EXTRA", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "checkout")
    def follow(connection: Any, _record: Any, _proxy: Any) -> None:
        # Another file in the place of this one: whoever went on with this one would write what nobody reads.
        if connection.identity != _identity(path):
            raise DisconnectionError

    @event.listens_for(made, "commit")
    def commit(connection: Connection) -> None:
        if connection.connection.driver_connection.identity != _identity(path):  # type: ignore[union-attr]
            raise StoreUnavailable(f"the store {path} was replaced during a transaction")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and then writes fails at once with "database is locked", whatever the
        # timeout, unless it takes the lock at its beginning.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


class _SqliteConnection(sqlite3.Connection):
    identity: tuple[int, int] | None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file bears the name just now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
