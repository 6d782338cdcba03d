"""The engine for SQLite: durable, one writer at a time, and always the file now at the path. It knows no tables."""

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

_BUSY_TIMEOUT = 3.0  # seconds to wait for the transaction of another process or thread


def engine(url: URL, options: dict[str, Any]) -> sqlalchemy.Engine:
    """Return an engine whose writing transactions run one at a time.

    Raise StoreUnavailable if the file cannot be created.
    """
    path = PROJECT_ROOT / str(url.database)
    try:
        make_private_file(path)
    except OSError as error:
        raise StoreUnavailable(
            "the store {file} cannot be used: {reason}", file=path, reason=error.strerror
        ) from error

    def connect() -> "_SqliteConnection":
        identity = _identity(path)  # before the file is opened: if it is replaced meanwhile, `check_file` sees that
        # mode=rw: if the file is missing, this is an error. SQLite must not make a new, empty one.
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

    created = sqlalchemy.create_engine(url, creator=connect, **options)

    @event.listens_for(created, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The journal mode stays the rollback journal: WAL can corrupt a file before SQLite 3.51.3
        # (sqlite.org/wal.html#walresetbug). EXTRA syncs the folder as well, so that a commit survives a power cut.
        for pragma in ("synchronous = EXTRA", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(created, "checkout")
    def check_file(connection: Any, _record: Any, _proxy: Any) -> None:
        # If another file is at the path now, data written to the old one would be lost. The error makes SQLAlchemy
        # open a new connection.
        if connection.identity != _identity(path):
            raise DisconnectionError

    @event.listens_for(created, "commit")
    def commit(connection: Connection) -> None:
        if connection.connection.driver_connection.identity != _identity(path):  # type: ignore[union-attr]
            raise StoreUnavailable("the store {file} was replaced during a transaction", file=path)

    @event.listens_for(created, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the lock at the beginning. Without it, a transaction that first reads and then writes fails
        # at once with "database is locked", whatever the timeout.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return created


class _SqliteConnection(sqlite3.Connection):
    identity: tuple[int, int] | None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and the inode of the file that is at `path` now, or None."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
