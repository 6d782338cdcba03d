"""A store for each test, on SQLite, and on PostgreSQL where its programs and driver are installed."""

import atexit
import os
import shutil
import subprocess
import tempfile
import unittest
from functools import cache
from pathlib import Path

from server.store.database import Store
from server.store.tables import TABLES
from tests.support import PorterTestCase


class StoreTestCase(PorterTestCase):
    """A test with an open and empty `self.store`; `self.now` is the time of its clock."""

    def setUp(self) -> None:
        super().setUp()
        self.store = Store(self.store_url())
        self.addCleanup(self.store.close)
        self.empty_store()
        self.now = 1_800_000_000.0
        self.store.now = lambda transaction: self.now  # type: ignore[method-assign]

    def empty_store(self) -> None:
        """Do nothing: each test has a folder of its own."""

    def store_url(self) -> str:
        return f"sqlite:///{self.folder}/data/porter.db"


class Postgres:
    """A mixin for a StoreTestCase: the same tests on a PostgreSQL of their own, on a Unix socket."""

    store: Store

    def store_url(self) -> str:
        return f"postgresql+psycopg://porter@/postgres?host={_cluster()}"

    def empty_store(self) -> None:
        names = ", ".join(table.name for table in TABLES.sorted_tables)
        with self.store.writing() as transaction:
            transaction.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")


def _programs() -> Path | None:
    found = [Path(p).parent for p in [shutil.which("initdb")] if p] + sorted(
        Path("/usr/lib/postgresql").glob("*/bin")
    )
    return next((folder for folder in found if (folder / "initdb").exists()), None)


needs_postgres = unittest.skipIf(_programs() is None, "PostgreSQL (initdb) is not installed")


def _run(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL. If this is root, run it as postgres: it refuses to run as root."""
    folder = _programs()
    assert folder is not None
    command = [str(folder / program), *arguments]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
    subprocess.run(command, check=True, capture_output=True, cwd="/")


@cache
def _cluster() -> str:
    """Start a cluster for this run of the tests and return its folder. It is stopped when the process ends."""
    folder = tempfile.mkdtemp(prefix="porter-postgres-")
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    _run("initdb", "-D", f"{folder}/data", "-U", "porter", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    _run("pg_ctl", "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")

    def stop() -> None:
        _run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return folder
