"""Private files: 0600 in a folder of 0700, with any umask."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from unittest import mock

from common import private_files
from common.private_files import make_private_file, make_private_folder, write_private_file
from tests.support import PorterTestCase


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class PrivateFiles(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(os.umask, os.umask(0))

    def test_missing_folders_are_created_closed_to_others(self) -> None:
        make_private_folder(self.folder / "a" / "b")
        self.assertEqual([0o700, 0o700], [mode(self.folder / "a"), mode(self.folder / "a" / "b")])

    def test_an_existing_folder_keeps_its_mode(self) -> None:
        (self.folder / "a").mkdir(mode=0o755)
        make_private_folder(self.folder / "a")
        self.assertEqual(0o755, mode(self.folder / "a"))

    def test_the_data_folder_of_the_project_is_closed_to_others(self) -> None:
        (self.folder / "data").mkdir(mode=0o755)
        with mock.patch.object(private_files, "_DATA_FOLDER", self.folder / "data"):
            make_private_file(self.folder / "data" / "file")
        self.assertEqual(0o700, mode(self.folder / "data"))

    def test_an_empty_file_is_made_once(self) -> None:
        path = self.folder / "a" / "file"
        make_private_file(path)
        path.write_text("kept")
        make_private_file(path)
        self.assertEqual(("kept", 0o600, 0o700), (path.read_text(), mode(path), mode(path.parent)))

    def test_a_file_that_others_can_read_is_made_private(self) -> None:
        path = self.write("file", "kept")
        path.chmod(0o644)
        make_private_file(path)
        self.assertEqual(("kept", 0o600), (path.read_text(), mode(path)))

    def test_an_existing_file_keeps_the_locks_of_this_process(self) -> None:
        path = self.folder / "porter.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            make_private_file(path)
            code = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
            other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertIn("database is locked", other.stderr)

    def test_even_an_absurd_umask_does_not_matter(self) -> None:
        os.umask(0o777)
        make_private_file(self.folder / "a" / "b" / "file")
        write_private_file(self.folder / "a" / "b" / "other", b"x")
        modes = [mode(self.folder / "a"), mode(self.folder / "a/b"), mode(self.folder / "a/b/file")]
        self.assertEqual([0o700, 0o700, 0o600], modes)
        self.assertEqual(0o600, mode(self.folder / "a/b/other"))

    def test_a_file_is_written_whole_and_nothing_else_is_left(self) -> None:
        path = self.folder / "a" / "file"
        write_private_file(path, b"first")
        write_private_file(path, b"second")
        self.assertEqual((b"second", 0o600), (path.read_bytes(), mode(path)))
        self.assertEqual([path], list(path.parent.iterdir()))
