"""A store for each test, on SQLite, and on PostgreSQL where its programs and driver are installed."""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import unittest
from functools import cache
from pathlib import Path
from typing import Any

from server.store.database import Store
from server.store.tables import TABLES, alembic_version
from tests.support import PorterTestCase, wait_until


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

    def store_url(self, user: str = "porter", database: str = "postgres", more: str = "") -> str:
        """Return the URL of the cluster; `more` are further options of it."""
        return f"postgresql+psycopg://{user}@/{database}?host={_cluster()}{more}"

    def command(self, statement: str) -> None:
        """Carry out a statement as the owner of the cluster, outside of any transaction."""
        import psycopg

        with psycopg.connect(host=_cluster(), user="porter", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def add_role(self: Any, name: str) -> None:
        """Add a role that may do with the tables what Porter does, and remove it after the test."""
        self.command(f"CREATE ROLE {name} LOGIN")
        self.addCleanup(self.command, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
        self.command(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        self.command(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")

    def empty_store(self) -> None:
        names = ", ".join(table.name for table in TABLES.sorted_tables if table is not alembic_version)
        with self.store.writing() as transaction:
            transaction.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")


class Pgbouncer(Postgres):
    """A mixin for the same, behind PgBouncer that lends two sessions to many clients, each for one transaction."""

    pool = 2
    """Sessions that all clients share."""

    def setUp(self: Any) -> None:
        self.pooler = Path(tempfile.mkdtemp(prefix="porter-pgbouncer-"))
        self.addCleanup(shutil.rmtree, self.pooler)
        (self.pooler / "pgbouncer.ini").write_text(
            f"[databases]\npostgres = host={_cluster()} user=porter\n"
            "[pgbouncer]\nlisten_addr =\nauth_type = any\npool_mode = transaction\n"
            f"default_pool_size = {self.pool}\nmax_client_conn = 1000\nserver_login_retry = 1\n"
            f"unix_socket_dir = {self.pooler}\n"
        )
        if os.geteuid() == 0:
            shutil.chown(self.pooler, "postgres", "postgres")
        assert _PGBOUNCER is not None
        process = subprocess.Popen(
            as_postgres(_PGBOUNCER, str(self.pooler / "pgbouncer.ini")),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(self.answers, "PgBouncer")
        super().setUp()  # type: ignore[misc]

    def answers(self: Any) -> bool:
        with socket.socket(socket.AF_UNIX) as trial:  # its file is there before it listens
            return trial.connect_ex(str(self.pooler / ".s.PGSQL.6432")) == 0

    def store_url(self: Any, user: str = "porter", database: str = "postgres", more: str = "") -> str:
        return f"postgresql+psycopg://{user}@/{database}?host={self.pooler}&port=6432{more}"


def _programs() -> Path | None:
    found = [Path(p).parent for p in [shutil.which("initdb")] if p] + sorted(
        Path("/usr/lib/postgresql").glob("*/bin")
    )
    return next((folder for folder in found if (folder / "initdb").exists()), None)


_PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
needs_postgres = unittest.skipIf(_programs() is None, "PostgreSQL (initdb) is not installed")
needs_pgbouncer = unittest.skipIf(
    _programs() is None or _PGBOUNCER is None, "PostgreSQL and PgBouncer are not both installed"
)


def as_postgres(*command: str) -> list[str]:
    """Return the command, run as postgres if this is root: neither PostgreSQL nor PgBouncer runs as root."""
    if os.geteuid() != 0:
        return [*command]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


def _run(program: str, *arguments: str) -> None:
    folder = _programs()
    assert folder is not None
    subprocess.run(as_postgres(str(folder / program), *arguments), check=True, capture_output=True, cwd="/")


def restart_postgres() -> None:
    """Restart the cluster of this run of the tests; its sessions end."""
    _run("pg_ctl", "-D", f"{_cluster()}/data", "-l", f"{_cluster()}/log", "-m", "fast", "-w", "restart")


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
