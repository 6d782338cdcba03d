"""./run.sh reset: the next class begins afresh, with the same certificate, and never under a running server."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from server.administration import reset, users
from tests.support import QUICK_HASHES, PorterTestCase, call_program, run_program


class Reset(PorterTestCase):
    tls = True

    def setUp(self) -> None:
        super().setUp()
        mode = {"class": "examples.todo:ToDo", "options": QUICK_HASHES}
        self.settings: dict[str, Any] = {"mode": "todo", "handlers": {"todo": mode}}
        self.path = str(self.write_configuration(**self.settings))

    def reset(self, *arguments: str) -> tuple[int, str, str]:
        return call_program(reset.main, *arguments, "--config", self.path)

    def accounts(self) -> list[str]:
        out = call_program(users.main, "list", "--json", "--config", self.path)[1]
        return [account["name"] for account in json.loads(out)]

    def fill(self) -> None:
        with self.server(**self.settings) as server:
            talker = server.talk()
            self.token = talker.register("Alice")
            talker.say("buy milk")
            talker.next()
            self.assertEqual(69, self.reset("--yes")[0])
            self.assertEqual(["Alice"], self.accounts())

    def test_all_is_removed_but_certificate_and_configuration(self) -> None:
        self.fill()
        certificate = (self.folder / "data/tls/certificate.pem").read_bytes()
        status, out, errors = self.reset("--yes")
        self.assertEqual((0, ""), (status, errors))
        self.assertEqual("removed 1 account, 0 known addresses and 1 log file", out.partition(";")[0])
        self.assertEqual([], self.accounts())
        self.assertNotIn(b"Alice", (self.folder / "data/porter.db").read_bytes())
        with closing(sqlite3.connect(self.folder / "data/porter.db")) as database:
            self.assertEqual([], database.execute("SELECT * FROM todo_items").fetchall())
        self.assertEqual(certificate, (self.folder / "data/tls/certificate.pem").read_bytes())
        self.assertEqual(
            [], [path for path in Path(self.folder).glob("server.log*") if "registered" in path.read_text()]
        )
        with self.server(**self.settings) as server:
            talker = server.talk()
            talker.give_token(self.token)
            self.assertEqual("ASK", talker.next()[0].value)

    def test_a_server_of_another_configuration_on_the_same_store_is_found(self) -> None:
        self.fill()
        other = {**self.settings, "control": str(self.folder / "elsewhere")}
        with self.server(**other):
            self.path = str(self.write_configuration("mine.yaml", **self.settings))
            status, _, errors = self.reset("--yes")
            self.assertEqual((69, True), (status, "uses the store: stop it first" in errors), errors)
        self.assertEqual(["Alice"], self.accounts())

    def test_it_asks_on_a_terminal_and_refuses_in_a_pipe(self) -> None:
        self.fill()
        self.assertEqual(64, self.reset()[0])
        self.assertEqual(["Alice"], self.accounts())

    def test_without_a_store_only_the_log_goes(self) -> None:
        self.write("server.log", "an old line\n")
        done = run_program(self.folder, "server.administration.reset", "--config", self.path, "--yes")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertFalse((self.folder / "server.log").exists())
