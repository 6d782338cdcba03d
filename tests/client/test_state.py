"""The client's private folder: its owner, its modes, and files that are always whole."""

import os
import stat
import threading
from pathlib import Path
from unittest import mock

from client.state import StateFolder, default_folder
from common.errors import Unavailable
from tests.support import PATIENCE, PorterTestCase


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class State(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(os.umask, os.umask(0))
        self.path = self.folder / "base" / "porter"
        self.state = StateFolder(self.path)

    def keep(self, key: str, value: str) -> None:
        self.state.update("x.json", lambda kept: kept.update({key: value}))

    def test_a_saved_value_can_be_read_later(self) -> None:
        self.keep("a", "1")
        self.keep("b", "2")
        self.assertEqual({"a": "1", "b": "2"}, StateFolder(self.path).read("x.json"))
        self.assertEqual(["x.json"], os.listdir(self.path))

    def test_reading_creates_nothing(self) -> None:
        self.assertEqual({}, self.state.read("x.json"))
        self.assertFalse(self.path.exists())
        self.write("file", "")
        self.assertEqual({}, StateFolder(self.folder / "file" / "porter").read("x.json"))

    def test_files_are_0600_in_a_folder_of_0700_whatever_the_umask(self) -> None:
        self.keep("a", "1")
        self.state.file("history")
        modes = [mode(self.path), mode(self.path / "x.json"), mode(self.path / "history")]
        self.assertEqual([0o700, 0o600, 0o600], modes)

    def test_a_file_that_has_become_too_large_is_renamed(self) -> None:
        for content in ("x" * 1_000_001, "y" * 1_000_001):
            self.state.file("history").write_text(content)
        self.assertEqual("", self.state.file("history").read_text())
        self.assertEqual(content, (self.path / "history.old").read_text())
        self.assertEqual([0o600, 0o600], [mode(self.path / name) for name in ("history", "history.old")])

    def test_a_folder_and_a_file_that_others_can_read_are_made_private(self) -> None:
        self.keep("a", "1")
        self.path.chmod(0o777)
        (self.path / "x.json").chmod(0o644)
        self.assertEqual({"a": "1"}, self.state.read("x.json"))
        self.assertEqual([0o700, 0o600], [mode(self.path), mode(self.path / "x.json")])

    def test_links_are_not_followed(self) -> None:
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        self.path.parent.mkdir()
        self.path.symlink_to(elsewhere)
        with self.assertRaisesRegex(Unavailable, "not a folder of yours"):
            self.keep("a", "1")
        self.path.unlink()
        self.keep("a", "1")
        (self.path / "x.json").unlink()
        (self.path / "x.json").symlink_to(self.write("other.json", "{}"))
        for attempt in (lambda: self.state.read("x.json"), lambda: self.keep("a", "1")):
            self.assertRaises(Unavailable, attempt)
        self.assertEqual("{}", (self.folder / "other.json").read_text())

    def test_a_folder_or_a_file_of_somebody_else_is_not_used(self) -> None:
        self.keep("a", "1")
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1), self.assertRaises(Unavailable):
            self.state.read("x.json")

    def test_a_named_pipe_in_place_of_a_file_is_refused_at_once(self) -> None:
        self.keep("a", "1")
        (self.path / "x.json").unlink()
        os.mkfifo(self.path / "x.json")
        with self.assertRaisesRegex(Unavailable, "not a file of yours"):
            self.state.read("x.json")

    def test_a_damaged_file_is_reported_and_not_overwritten(self) -> None:
        self.keep("a", "1")
        for damage in ("{", "[]", "[" * 100_000, '{"a": ' + "1" * 1_000_001 + "}"):
            (self.path / "x.json").write_text(damage)
            with self.assertRaisesRegex(Unavailable, "is damaged"):
                self.keep("b", "2")
            self.assertEqual(damage, (self.path / "x.json").read_text())

    def test_clients_that_save_at_the_same_time_lose_nothing(self) -> None:
        threads = [threading.Thread(target=self.keep, args=[str(number), "x"]) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(20, len(self.state.read("x.json")))

    def test_a_folder_that_cannot_be_created_raises_unavailable(self) -> None:
        self.write("file", "")
        blocked = StateFolder(self.folder / "file" / "porter")
        self.assertRaises(Unavailable, blocked.update, "x.json", lambda kept: None)
        self.assertRaises(Unavailable, blocked.file, "history")

    def test_the_default_follows_xdg(self) -> None:
        for variables, wanted in (
            ({"XDG_STATE_HOME": "/x"}, "/x/porter"),
            ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/porter"),
            ({"HOME": "/h"}, "/h/.local/state/porter"),
        ):
            with mock.patch.dict(os.environ, variables, clear=True):
                self.assertEqual(Path(wanted), default_folder())
        with (
            mock.patch("pathlib.Path.home", side_effect=RuntimeError("no home")),
            mock.patch.dict(os.environ, clear=True),
        ):
            self.assertRaises(Unavailable, default_folder)
