"""The change of the tables from an older version to today's, by Alembic, and copies of an SQLite file.

The migrations themselves are in migrations/versions, a file each. No server imports this module.
"""

import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from common.errors import StoreUnavailable, UsageError
from server.store import sqlite, versions
from server.store.database import open_engine, transaction
from server.store.tables import VERSION

_FIRST = 1  # the version of the tables that have no number


class Migration:
    """The store of a configuration, as its administrator changes it. All methods raise StoreUnavailable."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`. Raise StoreUnavailable if there is none: only a server makes one."""
        self._file = sqlite.file_of(url)
        if self._file is not None and not self._file.exists():
            raise StoreUnavailable(
                "there is no store yet at {file}: the server makes it at its first start", file=self._file
            )
        self._engine: Engine = open_engine(url)

    def close(self) -> None:
        self._engine.dispose()

    def version(self) -> int:
        """Return the version of the tables, 0 for those that have no number."""
        with transaction(self._engine, None) as connection:
            version = versions.found(connection)
        if version is None:
            raise StoreUnavailable("the store has no tables yet: the server makes them at its first start")
        return version

    def upgrade(self) -> Path | None:
        """Change the tables to today's version, all or nothing. Return the copy that was made of an SQLite file.

        Raise WrongStoreVersion if they are newer than this program.
        """
        before = self.version()
        if before == VERSION:
            return None
        if before > VERSION:
            versions.require(before)
        copy = None if self._file is None else self._copy_beside(self._file, before)
        self._migrate()
        return copy

    def _copy_beside(self, store: Path, version: int) -> Path:
        """Copy the SQLite store into a new file beside it, and return that."""
        start = f"{store.name}.version-{version}.{time.strftime('%Y%m%dT%H%M%S')}."
        try:
            descriptor, name = tempfile.mkstemp(prefix=start, dir=store.parent)  # private, and another one each time
        except OSError as error:
            raise StoreUnavailable(
                "no copy can be made in {folder}: {reason}", folder=store.parent, reason=error.strerror
            ) from error
        os.close(descriptor)
        self._copy(Path(name))
        return Path(name)

    def backup(self, file: Path) -> None:
        """Copy an SQLite store into a new file, while servers may use it. The copy is as private as the store.

        Raise UsageError if `file` exists, or if the store is not in SQLite.
        """
        if self._file is None:
            raise UsageError("only a store in SQLite is copied so; for PostgreSQL there is pg_dump")
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise UsageError("{file} exists already: name another file", file=file) from None
        except OSError as error:
            raise UsageError("cannot write {file}: {reason}", file=file, reason=error.strerror) from error
        self._copy(file)

    def _copy(self, file: Path) -> None:
        """Copy the SQLite store into an empty file, or remove that."""
        assert self._file is not None
        try:
            with closing(sqlite3.connect(self._file)) as source, closing(sqlite3.connect(file)) as target:
                source.backup(target, pages=-1)
        except sqlite3.Error as error:
            file.unlink()
            raise StoreUnavailable("the store cannot be copied: {reason}", reason=error) from error

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with transaction(self._engine, True) as connection:
            config.attributes["connection"] = connection
            if versions.found(connection) == 0:  # asked again: another administrator may have been quicker
                command.stamp(config, str(_FIRST))
            command.upgrade(config, "head")
