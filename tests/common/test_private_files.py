"""Private files: 0600 in a folder of 0700, with any umask."""

import contextlib
import os
import pwd
import sqlite3
import stat
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

from common import private_files
from common.private_files import describe_owner, make_private_file, make_private_folder, write_private_file
from tests.support import UNPRIVILEGED, PorterTestCase, environment, take_away


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


class OthersFiles(PorterTestCase):
    """Folders and files of another user, as on a volume of root's, and file systems that know no modes."""

    def setUp(self) -> None:
        super().setUp()
        self.data = self.folder / "data"
        self.enterContext(mock.patch.object(private_files, "_DATA_FOLDER", self.data))

    def refuse_chmod(self) -> None:
        self.enterContext(mock.patch.object(Path, "chmod", side_effect=PermissionError(1, "not permitted")))
        self.enterContext(mock.patch.object(os, "fchmod", side_effect=PermissionError(1, "not permitted")))

    def test_a_folder_that_can_be_used_but_not_closed_costs_one_warning(self) -> None:
        self.data.mkdir()
        self.data.chmod(0o755)
        self.refuse_chmod()
        with self.assertLogs("porter.server", "WARNING") as logged:
            make_private_file(self.data / "file")
            make_private_folder(self.data)
            write_private_file(self.data / "tls" / "key", b"x")
        self.assertEqual(1, len(logged.output))
        self.assertIn(f"{self.data} is open to others and cannot be closed: it belongs to ", logged.output[0])
        self.assertIn("(mode 0755), and this process runs as ", logged.output[0])
        self.assertEqual([0o600, 0o600, 0o700], [mode(self.data / name) for name in ("file", "tls/key", "tls")])

    def test_a_file_that_can_be_used_but_not_closed_costs_one_warning(self) -> None:
        path = self.write("file", "")
        path.chmod(0o660)
        self.refuse_chmod()
        with self.assertLogs("porter.server", "WARNING") as logged:
            make_private_file(path)
        self.assertIn(f"{path} is open to others", logged.output[0])

    def test_a_folder_that_can_be_neither_closed_nor_used_is_an_error(self) -> None:
        self.data.mkdir()
        self.data.chmod(0o755)
        self.refuse_chmod()
        with mock.patch.object(os, "access", return_value=False), self.assertRaises(PermissionError):
            make_private_file(self.data / "file")

    def test_the_owner_the_mode_and_the_user_of_this_process_are_told(self) -> None:
        me = pwd.getpwuid(os.geteuid()).pw_name
        path = self.write("data/file", "")
        path.chmod(0o640)
        told = f"belongs to {me} (mode 0640), and this process runs as {me}"
        self.assertEqual(f"it {told}", describe_owner(path))
        self.data.chmod(0o700)
        for missing in (self.data / "missing", self.data / "a" / "b"):
            self.assertEqual(f"the folder {self.data} {told.replace('0640', '0700')}", describe_owner(missing))
        (self.folder / "link").symlink_to(path)
        self.assertEqual(f"it {told}", describe_owner(self.folder / "link"))
        with mock.patch.object(pwd, "getpwuid", side_effect=KeyError):
            self.assertIn(f"runs as user {os.geteuid()}", describe_owner(path))

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a folder to another user")
    def test_a_folder_of_another_user_is_used_where_that_is_possible(self) -> None:
        self.data.mkdir()
        take_away(self.data)
        code = (
            "import sys; from pathlib import Path; from common import private_files;"
            "private_files._DATA_FOLDER = Path(sys.argv[1]);"
            "private_files.make_private_file(Path(sys.argv[1], 'tls', 'file'))"
        )
        command = [*UNPRIVILEGED, sys.executable, "-P", "-c", code, str(self.data)]

        def run() -> str:
            return subprocess.run(command, env=environment(self.folder), capture_output=True, text=True).stderr

        self.data.chmod(0o755)
        self.assertRegex(run(), r"PermissionError: .*not permitted")
        self.assertEqual([], list(self.data.iterdir()))
        self.data.chmod(0o777)
        self.assertRegex(run(), r"\A.*/data is open to others .* \(mode 0777\), and this process runs as root\n\Z")
        self.assertEqual(0o600, mode(self.data / "tls" / "file"))
