"""The store is copied and put back while the server runs, as docs/operations.md says."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

from common import PROJECT_ROOT
from common.wire.kinds import Kind
from server.administration import store
from tests.support import PATIENCE, PorterTestCase, call_program


class Backup(PorterTestCase):
    def put_back(self) -> None:
        """Run the command of the document that puts backup.db back."""
        text = (PROJECT_ROOT / "docs" / "operations.md").read_text()
        (line,) = [line for line in text.splitlines() if ".backup(sqlite3" in line]
        code = line.partition('-c "')[2].rstrip('"')
        subprocess.run([sys.executable, "-c", code], check=True, cwd=self.folder, timeout=PATIENCE)

    def test_a_restored_backup_has_the_old_accounts_and_not_the_newer_ones(self) -> None:
        server = self.start_process("auth")
        token = server.talk().register("Alice")
        path = str(self.folder / "server.yaml")
        copied = call_program(store.main, "backup", str(self.folder / "backup.db"), "--config", path)
        self.assertEqual((0, ""), (copied[0], copied[2]))
        later = server.talk()
        later_token = later.register("Bob")
        ended = server.talk()
        ended.register("Carol")
        ended.say("/logout")
        ended.expect(Kind.SET_TOKEN, "")
        self.put_back()
        later.expect(Kind.ERROR, "your session was ended")  # because a session was ended after the backup
        client = server.talk()
        client.give_token(token)
        client.expect(Kind.TEXT)
        client = server.talk()
        client.give_token(later_token)
        client.answer(Kind.ASK, "Bob")
        self.assertIn("New name", client.expect(Kind.SECRET))
        self.assertEqual((0, "", ""), server.stop())
        self.check(self.folder / "data" / "porter.db")

    def check(self, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            self.assertEqual([("ok",)], database.execute("PRAGMA integrity_check").fetchall())
            self.assertEqual([("Alice",)], database.execute("SELECT name FROM accounts").fetchall())
