"""The engine for SQLite: durable, one writer at a time, and always the file now at the path. It knows no tables."""

import contextlib
import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError

from common import PROJECT_ROOT
from common.errors import StoreUnavailable
from common.private_files import describe_owner, make_private_file

# In seconds.
_BUSY_TIMEOUT = 3.0  # to wait for the transaction of another process or thread
_BETWEEN_TRIES = 0.05

_NEEDS_RIGHTS = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


def check_url(url: URL) -> str | None:
    """Return why `url` cannot be used, or None. Open nothing, and quote nothing of it."""
    if url.username is not None or url.host or url.port:
        return (
            "SQLite has no user, password or host; a file stands after three slashes, as in sqlite:///data/porter.db"
        )
    if url.query:
        return "the URL of an SQLite file has no options: leave out the question mark and all after it"
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        return "SQLite needs a file, as in sqlite:///data/porter.db"
    if os.path.isdir(_path(url)):
        return "SQLite needs a file, and this is a folder"
    return None


def file_of(url: str) -> Path | None:
    """Return the file of a store in SQLite, or None for a store elsewhere."""
    parsed = make_url(url)
    return _path(parsed) if parsed.get_backend_name() == "sqlite" else None


def engine(url: URL, options: dict[str, Any]) -> sqlalchemy.Engine:
    """Return an engine whose writing transactions run one at a time.

    Raise StoreUnavailable if the file cannot be created.
    """
    path = _path(url)
    try:
        make_private_file(path)
    except OSError as error:
        owner = _blame_owner(path) if isinstance(error, PermissionError) else ""
        raise StoreUnavailable(
            "the store {file} cannot be used: {reason}{owner}", file=path, reason=error.strerror, owner=owner
        ) from error

    created = sqlalchemy.create_engine(url, creator=lambda: _connect(path), **options)

    @event.listens_for(created, "checkout")
    def check_file(connection: Any, _record: Any, _proxy: Any) -> None:
        # If another file is at the path now, data written to the old one would be lost. If another program has
        # changed the journal mode, this connection notices it when it reads. The error makes SQLAlchemy open a new
        # connection.
        connection.execute("PRAGMA schema_version").fetchone()
        if connection.identity != _identity(path) or _journal_mode(connection) != "delete":
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


class InUse:
    """Says that a server uses the file, until `close`. It is a lock of a file beside it: see `is_free`."""

    def __init__(self, file: Path) -> None:
        """Take the lock, which servers share. Without locks, as on some network volumes, nothing is said."""
        self._descriptor = _open_mark(file)
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def is_free(file: Path) -> bool:
    """Return whether no server says that it uses the file."""
    descriptor = _open_mark(file)
    if descriptor is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return True


def _open_mark(file: Path) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(f"{file}.in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return None


def explain(url: URL, error: BaseException | None) -> str:
    """Return what to add to the text of `error`: whose the file is, if its rights are the cause, or nothing."""
    path = _path(url)
    if _primary_code(error) not in _NEEDS_RIGHTS:
        return ""
    with contextlib.suppress(OSError):
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return "; its file system is mounted read-only"
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
        return _blame_owner(path)
    if not os.access(path.parent, os.R_OK | os.W_OK | os.X_OK):  # SQLite makes the journal there
        return _blame_owner(path.parent)
    return ""


class _SqliteConnection(sqlite3.Connection):
    identity: tuple[int, int] | None


def _connect(path: Path) -> _SqliteConnection:
    """Open the file. Raise StoreUnavailable if it cannot be brought back to the rollback journal.

    WAL can corrupt a file before SQLite 3.51.3 (sqlite.org/wal.html#walresetbug), and the file remembers it: one
    `PRAGMA journal_mode = WAL` by any program is enough.
    """
    give_up = time.monotonic() + _BUSY_TIMEOUT
    while True:
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
        try:
            # EXTRA syncs the folder as well, so that a commit survives a power cut.
            for pragma in ("synchronous = EXTRA", "foreign_keys = ON", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            mode = _leave_wal(connection)
        except BaseException:
            connection.close()
            raise
        if mode == "delete":
            return connection
        connection.close()  # else two that wait for each other would keep the mode for ever
        if time.monotonic() > give_up:
            raise StoreUnavailable(
                "the store {file} cannot be used: another program has it open in the journal mode {mode}, in which "
                "SQLite {version} can damage it; end that program, or let it set PRAGMA journal_mode = DELETE",
                file=path,
                mode=mode.upper(),
                version=sqlite3.sqlite_version,
            )
        time.sleep(_BETWEEN_TRIES)


def _leave_wal(connection: sqlite3.Connection) -> str:
    """Set the journal mode and return the one in force: another if a second connection has the file open in it."""
    if _journal_mode(connection) != "delete":
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if _primary_code(error) != sqlite3.SQLITE_BUSY:
                raise
    return _journal_mode(connection)


def _journal_mode(connection: sqlite3.Connection) -> str:
    mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return mode


def _blame_owner(path: Path) -> str:
    return f"; {describe_owner(path)}: change that (chown, chmod), or run as its owner"


def _primary_code(error: BaseException | None) -> int:
    """Return SQLite's code of the error without its extension, or 0 if it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _path(url: URL) -> Path:
    return PROJECT_ROOT / str(url.database)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and the inode of the file that is at `path` now, or None."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
