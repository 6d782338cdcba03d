"""The version of the tables: what a server finds at its start, and the upgrade of an older store."""

import os
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from common.errors import ExitStatus, StoreUnavailable, UsageError, WrongStoreVersion
from common.wire.kinds import Kind
from server.administration import store as command
from server.administration import users
from server.store.database import Store, open_engine
from server.store.migration import Migration
from server.store.tables import TABLES, VERSION, alembic_version, bus_entries, bus_processes, mode_steps, servers
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PorterTestCase, ServerProcess, call_program

OLD = Path(__file__).with_name("tables_440432d.sql")
MADE = 1_795_739_675.0  # the time in it
TOKEN = "TknhJUrfFw2yw75E-Bo4Fp2svqt76z_yfCpaPxBuaGw"  # Alice's
TIMES = {
    "accounts": ["created"],
    "addresses": ["created"],
    "failures": ["locked_until", "last"],
    "logins": ["last"],
    "revocations": ["created"],
    "sessions": ["token_issued", "created", "last_used"],
}


class Versions(StoreTestCase):
    def set_version(self, number: int) -> None:
        with self.store.writing() as transaction:
            transaction.execute(alembic_version.update().values(version_num=str(number)))
        self.addCleanup(self._mend_version)

    def make_old(self) -> None:
        """Leave the tables of commit 440432d, which have no version."""
        self.addCleanup(self._mend_version)
        with self.store.writing() as transaction:
            TABLES.drop_all(transaction, [alembic_version, mode_steps, bus_entries, bus_processes, servers])

    def _mend_version(self) -> None:
        with self.store.writing() as transaction:
            TABLES.create_all(transaction)
            transaction.execute(alembic_version.delete())
            transaction.execute(alembic_version.insert().values(version_num=str(VERSION)))

    def migration(self) -> Migration:
        made = Migration(self.store_url())
        self.addCleanup(made.close)
        return made

    def test_a_new_store_has_the_version_of_the_program(self) -> None:
        self.assertEqual(VERSION, self.migration().version())

    def test_tables_of_another_version_are_refused_with_the_command_that_helps(self) -> None:
        for number, said in ((VERSION + 1, "a newer Porter"), (VERSION - 1, "./run.sh store upgrade")):
            self.set_version(number)
            with self.assertRaisesRegex(WrongStoreVersion, said):
                Store(self.store_url())

    def test_newer_tables_are_not_upgraded(self) -> None:
        self.set_version(VERSION + 1)
        self.assertRaises(WrongStoreVersion, self.migration().upgrade)

    def test_tables_without_a_version_are_upgraded(self) -> None:
        self.make_old()
        with self.assertRaisesRegex(WrongStoreVersion, "tables of version 0"):
            Store(self.store_url())
        self.migration().upgrade()
        Store(self.store_url()).close()

    def test_two_upgrades_at_once_are_one(self) -> None:
        self.make_old()
        with ThreadPoolExecutor() as pool:
            for upgrade in [pool.submit(self.migration().upgrade) for _ in range(4)]:
                upgrade.result()
        self.assertEqual(VERSION, self.migration().version())


class OfModes(StoreTestCase):
    STEPS = ("CREATE TABLE notes_lines (line TEXT NOT NULL)", "ALTER TABLE notes_lines ADD COLUMN author TEXT")

    def columns(self) -> list[str]:
        with self.store.reading() as transaction:
            return [column["name"] for column in inspect(transaction).get_columns("notes_lines")]

    def drop(self) -> None:
        with self.store.writing() as transaction:
            transaction.execute(text("DROP TABLE IF EXISTS notes_lines"))

    def test_the_steps_of_a_mode_are_done_once_and_in_order(self) -> None:
        self.addCleanup(self.drop)
        self.store.migrate("notes", self.STEPS[:1])
        self.assertEqual(["line"], self.columns())
        for _ in range(2):
            self.store.migrate("notes", self.STEPS)
            self.assertEqual(["line", "author"], self.columns())

    def test_a_step_that_fails_undoes_those_before_it(self) -> None:
        self.addCleanup(self.drop)
        steps = [*self.STEPS, lambda transaction: 1 / 0]
        self.assertRaises(ZeroDivisionError, self.store.migrate, "notes", steps)
        self.store.migrate("notes", self.STEPS)
        self.assertEqual(["line", "author"], self.columns())

    def test_a_mode_older_than_its_tables_is_refused(self) -> None:
        self.addCleanup(self.drop)
        self.store.migrate("notes", self.STEPS)
        with self.assertRaisesRegex(WrongStoreVersion, "newer tables of the mode notes: 2 steps"):
            self.store.migrate("notes", self.STEPS[:1])


@needs_postgres
class OfModesInPostgreSQL(Postgres, OfModes):
    pass


class InSQLite(Versions):
    def test_the_migrations_make_the_tables_that_the_program_has(self) -> None:
        engine = open_engine(f"sqlite:///{self.folder}/other.db").execution_options(writes=True)
        self.addCleanup(engine.dispose)
        (self.folder / "other.db").touch()
        migration = Migration(f"sqlite:///{self.folder}/other.db")
        self.addCleanup(migration.close)
        migration._migrate()
        with engine.begin() as connection:
            self.assertEqual([], compare_metadata(MigrationContext.configure(connection), TABLES))

    def test_there_is_nothing_to_look_after_before_a_server_has_made_the_store(self) -> None:
        with self.assertRaisesRegex(StoreUnavailable, "no store yet"):
            Migration(f"sqlite:///{self.folder}/none.db")

    def test_a_copy_is_whole_private_and_replaces_nothing(self) -> None:
        copy = self.folder / "copy.db"
        self.migration().backup(copy)
        self.assertEqual(0o600, stat.S_IMODE(copy.stat().st_mode))
        with closing(sqlite3.connect(copy)) as found:
            self.assertEqual([(str(VERSION),)], found.execute("SELECT version_num FROM alembic_version").fetchall())
        self.assertRaises(UsageError, self.migration().backup, copy)


@needs_postgres
class InPostgreSQL(Postgres, Versions):
    def test_a_copy_is_for_pg_dump(self) -> None:
        with self.assertRaisesRegex(UsageError, "pg_dump"):
            self.migration().backup(self.folder / "copy")


class Upgrade(PorterTestCase):
    """The database of commit 440432d, as if it had been made now."""

    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder / "old.db"
        with closing(sqlite3.connect(self.file)) as old:
            old.executescript(OLD.read_text())
            for table, columns in TIMES.items():
                changes = ", ".join(f"{column} = {column} + {time.time() - MADE}" for column in columns)
                old.execute(f"UPDATE {table} SET {changes}")
            old.commit()
        os.chmod(self.file, 0o600)

    def run_store(self, *arguments: str) -> tuple[int, str, str]:
        path = str(self.write_configuration(store=f"sqlite:///{self.file}"))
        return call_program(command.main, *arguments, "--config", path)

    def test_a_server_refuses_it_and_names_the_command(self) -> None:
        path = str(self.write_configuration(store=f"sqlite:///{self.file}", mode="auth"))
        server = ServerProcess(self, "--config", path, wait=False)
        self.addCleanup(server.close)
        status, _, errors = server.wait()
        self.assertEqual(ExitStatus.CONFIGURATION, status)
        self.assertIn("./run.sh store upgrade", errors)

    def test_after_the_upgrade_accounts_tokens_and_locks_are_what_they_were(self) -> None:
        status, _, errors = self.run_store("check")
        self.assertEqual(ExitStatus.CONFIGURATION, status)
        self.assertIn("./run.sh store upgrade", errors)
        status, printed, errors = self.run_store("upgrade")
        self.assertEqual(0, status, errors)
        (copy,) = self.folder.glob("old.db.version-0.*")
        self.assertIn(str(copy), printed)
        self.assertEqual((0, f"{VERSION}\n", ""), self.run_store("version"))
        self.assertEqual(0, self.run_store("check")[0])
        with self.server("auth", store=f"sqlite:///{self.file}") as server:
            alice = server.talk()
            alice.give_token(TOKEN)
            self.assertIn("Alice", alice.expect(Kind.TEXT))
            server.talk().log_in("alice")
            bob = server.talk()
            bob.give_token()
            bob.answer(Kind.ASK, "bob")
            bob.answer(Kind.SECRET, "battery staple")
            bob.expect(Kind.ERROR)
            server.log.wait_for("login refused: bob is locked")

    def test_the_copy_is_the_store_as_it_was(self) -> None:
        before = self.file.read_bytes()
        self.run_store("upgrade")
        (copy,) = self.folder.glob("old.db.version-0.*")
        with closing(sqlite3.connect(copy)) as found, closing(sqlite3.connect(":memory:")) as was:
            was.deserialize(before)
            self.assertEqual([*was.iterdump()], [*found.iterdump()])


class Elsewhere(PorterTestCase):
    def test_the_administrator_s_other_commands_refuse_it_too(self) -> None:
        file = self.folder / "new.db"
        Store(f"sqlite:///{file}").close()
        with closing(sqlite3.connect(file)) as store:
            store.execute("UPDATE alembic_version SET version_num = '999'")
            store.commit()
        path = str(self.write_configuration(store=f"sqlite:///{file}"))
        status, _, errors = call_program(users.main, "list", "--config", path)
        self.assertEqual(ExitStatus.CONFIGURATION, status)
        self.assertIn("a newer Porter", errors)
