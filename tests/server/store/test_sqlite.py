"""The store in a file: it is private, durable, and always the file that has the name now."""

import contextlib
import os
import pwd
import shutil
import sqlite3
import stat
import unittest
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from sqlalchemy import delete, func, select

from common.errors import StoreUnavailable
from server.store import sqlite
from server.store.database import Store
from server.store.tables import addresses
from tests.server.store_case import StoreTestCase
from tests.support import PATIENCE, PorterTestCase, at_once, scaled

needs_root = unittest.skipUnless(os.geteuid() == 0, "only root can become another user")


class Sqlite(StoreTestCase):
    def add(self, address: str) -> None:
        with self.store.writing() as transaction:
            row = {"address": address, "name": "x", "source": address, "created": 0.0}
            transaction.execute(self.store.insert(addresses).values(row))

    def count(self) -> int:
        with self.store.reading() as transaction:
            return int(transaction.scalar(select(func.count()).select_from(addresses)) or 0)

    def test_the_file_is_private_in_a_private_folder(self) -> None:
        path = self.folder / "data" / "porter.db"
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual(0o700, stat.S_IMODE(path.parent.stat().st_mode))

    def test_a_commit_is_on_the_disk_when_it_is_acknowledged(self) -> None:
        with self.store.reading() as transaction:
            pragmas = [
                transaction.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("synchronous", "journal_mode")
            ]
        self.assertEqual([3, "delete"], pragmas)

    def test_a_file_that_is_no_database_is_unavailable(self) -> None:
        path = self.write("text.db", "this is no database, but long enough to be taken for one" * 100)
        with self.assertRaisesRegex(StoreUnavailable, "not a database"):
            Store(f"sqlite:///{path}")
        with self.assertRaisesRegex(StoreUnavailable, "cannot be used"):
            Store(f"sqlite:///{path}/below")

    def test_a_database_that_is_gone_is_unavailable(self) -> None:
        self.store.close()
        os.replace(self.folder / "data", self.folder / "elsewhere")
        with self.assertRaises(StoreUnavailable):
            self.count()

    def replace(self, wanted: Path) -> None:
        """Replace the file `wanted` by another database with one address in it."""
        other = Store(f"sqlite:///{self.folder}/other.db")
        with other.writing() as transaction:
            row = {"address": "other", "name": "x", "source": "other", "created": 0.0}
            transaction.execute(other.insert(addresses).values(row))
        other.close()
        os.replace(self.folder / "other.db", wanted)

    def test_a_replaced_database_is_used_at_once(self) -> None:
        self.assertEqual(0, self.count())
        self.replace(self.folder / "data" / "porter.db")
        self.assertEqual(1, self.count())

    def test_a_write_during_the_replacement_is_not_acknowledged(self) -> None:
        with self.assertRaisesRegex(StoreUnavailable, "was replaced"), self.store.writing() as transaction:
            row = {"address": "a", "name": "x", "source": "a", "created": 0.0}
            transaction.execute(self.store.insert(addresses).values(row))
            self.replace(self.folder / "data" / "porter.db")
        self.assertEqual(1, self.count())
        self.add("a")
        self.assertEqual(2, self.count())

    def test_a_moved_database_is_not_created_again_and_is_found_when_it_is_back(self) -> None:
        self.add("a")
        path = self.folder / "data" / "porter.db"
        os.replace(path, self.folder / "away.db")
        for _ in range(2):
            with self.assertRaisesRegex(StoreUnavailable, "unable to open"):
                self.count()
        self.assertFalse(path.exists())
        os.replace(self.folder / "away.db", path)
        self.assertEqual(1, self.count())


class JournalMode(StoreTestCase):
    """Another program puts the file into WAL mode, which the file remembers."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(sqlite, "_BUSY_TIMEOUT", scaled(0.2)))
        self.other = sqlite3.connect(self.folder / "data" / "porter.db", isolation_level=None)
        self.addCleanup(self.other.close)

    def set_wal(self) -> None:
        self.assertEqual(("wal",), self.other.execute("PRAGMA journal_mode = WAL").fetchone())
        self.other.execute("SELECT * FROM addresses").fetchall()

    def mode(self, store: Store) -> object:
        with store.writing() as transaction:
            transaction.execute(delete(addresses))
            return transaction.exec_driver_sql("PRAGMA journal_mode").scalar()

    def test_a_file_in_wal_mode_is_brought_back_at_the_start(self) -> None:
        self.store.close()
        self.set_wal()
        self.other.close()
        again = Store(self.store_url())
        self.addCleanup(again.close)
        self.assertEqual("delete", self.mode(again))
        self.assertEqual([], [*(self.folder / "data").glob("*-wal")])

    def test_a_file_that_another_program_has_open_in_wal_mode_is_unavailable(self) -> None:
        self.store.close()
        self.set_wal()
        with self.assertRaisesRegex(StoreUnavailable, "journal mode WAL, .*; end that program"):
            Store(self.store_url())

    def test_a_file_that_is_put_into_wal_mode_while_it_is_used_is_brought_back(self) -> None:
        self.mode(self.store)
        self.set_wal()
        self.other.close()
        self.assertEqual("delete", self.mode(self.store))

    def test_a_file_that_is_kept_in_wal_mode_is_unavailable_until_it_is_released(self) -> None:
        self.mode(self.store)
        self.set_wal()
        for _ in range(2):
            with self.assertRaisesRegex(StoreUnavailable, "journal mode WAL"):
                self.mode(self.store)
        self.other.close()
        self.assertEqual("delete", self.mode(self.store))

    def test_two_that_open_a_file_in_wal_mode_at_once_both_get_it(self) -> None:
        self.store.close()
        self.set_wal()
        self.other.close()
        with mock.patch.object(sqlite, "_BUSY_TIMEOUT", PATIENCE):
            stores: list[Store] = []
            at_once(*[lambda: stores.append(Store(self.store_url()))] * 4)
        for store in stores:
            self.addCleanup(store.close)
        self.assertEqual(["delete"] * 4, [self.mode(store) for store in stores])


class Owners(PorterTestCase):
    """The file or its folder belongs to another user."""

    def setUp(self) -> None:
        super().setUp()
        self.folder.chmod(0o755)
        self.path = self.folder / "data" / "porter.db"
        self.url = f"sqlite:///{self.path}"

    def refused(self) -> str:
        with self.assertRaises(StoreUnavailable) as caught:
            Store(self.url)
        text = str(caught.exception)
        self.assertNotIn("\n", text)
        self.assertIn(f"the store {self.path} cannot be used: ", text)
        return text

    @contextlib.contextmanager
    def as_nobody(self) -> Iterator[None]:
        nobody = pwd.getpwnam("nobody").pw_uid
        os.setresuid(nobody, nobody, 0)
        try:
            yield
        finally:
            os.setresuid(0, 0, 0)

    @needs_root
    def test_a_file_of_another_user_is_named_with_its_owner_and_mode(self) -> None:
        Store(self.url).close()
        self.path.parent.chmod(0o755)
        with self.as_nobody():
            text = self.refused()
        self.assertIn("; it belongs to root (mode 0600), and this process runs as nobody: ", text)

    @needs_root
    def test_a_folder_that_cannot_be_entered_is_named_with_its_owner_and_mode(self) -> None:
        Store(self.url).close()
        with self.as_nobody():
            text = self.refused()
        folder = self.path.parent
        self.assertIn(f"; the folder {folder} belongs to root (mode 0700), and this process runs as nobody: ", text)

    @needs_root
    def test_a_file_that_is_given_to_another_user_meanwhile_is_named_with_its_owner(self) -> None:
        nobody = pwd.getpwnam("nobody").pw_uid
        Store(self.url).close()
        for path in (self.path, self.path.parent):
            os.chown(path, nobody, -1)
        with self.as_nobody():
            store = Store(self.url)
        self.addCleanup(store.close)
        copy = self.path.with_name("copy")
        shutil.copy(self.path, copy)
        copy.chmod(0o600)
        os.replace(copy, self.path)
        with self.as_nobody(), self.assertRaises(StoreUnavailable) as caught, store.reading():
            pass
        self.assertIn("unable to open database file; it belongs to root (mode 0600)", str(caught.exception))

    @needs_root
    def test_a_folder_where_no_journal_can_be_made_is_named_with_its_owner(self) -> None:
        Store(self.url).close()
        os.chown(self.path, pwd.getpwnam("nobody").pw_uid, -1)
        self.path.parent.chmod(0o755)
        with self.as_nobody():
            store = Store(self.url)
            self.addCleanup(store.close)
            with self.assertRaises(StoreUnavailable) as caught, store.writing() as transaction:
                transaction.execute(delete(addresses))
        self.assertIn("; it belongs to root (mode 0755), and this process runs as nobody: ", str(caught.exception))

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_folder_that_cannot_be_written_is_named_with_its_mode(self) -> None:
        self.folder.chmod(0o500)
        self.addCleanup(self.folder.chmod, 0o700)
        self.assertIn(f"; the folder {self.folder} belongs to ", self.refused())
