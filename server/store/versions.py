"""The version of the tables: a number that a server reads at its start. How tables change is for migration.py."""

import sqlalchemy
from sqlalchemy import Connection

from common.errors import WrongStoreVersion
from server.store.tables import TABLES, VERSION, alembic_version


def found(connection: Connection) -> int | None:
    """Return the version of the tables: 0 for tables without one, which commit 440432d made; None for no tables."""
    names = set(sqlalchemy.inspect(connection).get_table_names())
    if alembic_version.name in names:
        return int(connection.scalar(sqlalchemy.select(alembic_version.c.version_num)) or 0)
    return 0 if names & set(TABLES.tables) else None


def prepare(connection: Connection) -> None:
    """Make the tables if there are none. Raise WrongStoreVersion if there are some of another version."""
    version = found(connection)
    if version is None:
        TABLES.create_all(connection)
        connection.execute(alembic_version.insert().values(version_num=str(VERSION)))
    else:
        require(version)


def require(version: int) -> None:
    """Raise WrongStoreVersion unless this is the version that this program works with."""
    if version < VERSION:
        raise WrongStoreVersion(
            "the store has tables of version {found}, and this program needs version {needed}: "
            "./run.sh store upgrade brings them up to date",
            found=version,
            needed=VERSION,
        )
    if version > VERSION:
        raise WrongStoreVersion(
            "the store has tables of version {found}, and this program knows only version {needed}: "
            "a newer Porter has upgraded them, so start that one (./run.sh store version)",
            found=version,
            needed=VERSION,
        )
