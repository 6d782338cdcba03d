"""Removes all that a store has kept, and finds out whether a server uses it. It does not know what the rows mean."""

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import MetaData, delete, func, select, text

from server.store import sqlite
from server.store.database import Store
from server.store.tables import accounts, addresses, alembic_version, mode_steps

_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name LIKE 'porter %' AND application_name <> :ours"
)


def is_in_use(store: Store, url: str) -> bool:
    """Return whether a server uses the store. Behind a pooler PostgreSQL does not tell."""
    if (file := sqlite.file_of(url)) is not None:
        return not sqlite.is_free(file)
    with store.reading() as transaction:
        ours = f"porter {os.uname().nodename} {os.getpid()}"
        return bool(transaction.scalar(_OTHERS, {"ours": ours}))


def count(store: Store) -> tuple[int, int]:
    """Return the numbers of accounts and of known addresses."""
    with store.reading() as transaction:
        found = [transaction.scalar(select(func.count()).select_from(table)) or 0 for table in (accounts, addresses)]
    return found[0], found[1]


def empty(store: Store, url: str) -> None:
    """Delete the rows of all tables, those of the modes too; the tables and their versions stay."""
    with store.writing() as transaction:
        found = MetaData()
        found.reflect(transaction)
        for table in reversed(found.sorted_tables):
            if table.name not in (alembic_version.name, mode_steps.name):
                transaction.execute(delete(table))
    file = sqlite.file_of(url)
    if file is not None:
        _shrink(file)


def _shrink(file: Path) -> None:
    """Give the free pages of an SQLite file back, and what is still written in them."""
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("VACUUM")
