"""The store in a file: it is private, durable, and always the file that has the name now."""

import os
import stat
from pathlib import Path

from sqlalchemy import func, select

from common.errors import StoreUnavailable
from server.store.database import Store
from server.store.tables import addresses
from tests.server.store_case import StoreTestCase


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
