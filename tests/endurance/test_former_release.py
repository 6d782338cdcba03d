"""Servers of the version before go on working on the upgraded tables, beside those of today."""

import io
import subprocess
import sys
import tarfile
import unittest
from pathlib import Path
from typing import Any

import yaml

from common import PROJECT_ROOT
from common.wire.kinds import Kind
from server.administration import store
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import QUICK_HASHES, ServerProcess, Talker, call_program, connect, environment

FORMER = "3445190"  # the last commit whose tables had version 2


def former_tree() -> bytes | None:
    """Return the former release as a tar file, or None where the history is not at hand."""
    archive = subprocess.run(["git", "archive", FORMER], cwd=PROJECT_ROOT, capture_output=True)
    return archive.stdout if archive.returncode == 0 else None


class FormerServer(ServerProcess):
    """A server of the former release."""

    def __init__(self, case: StoreTestCase, folder: Path, configuration: Path) -> None:
        self._case = case
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server", "--config", str(configuration)],
            cwd=folder,
            env={**environment(case.folder), "PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        case.addCleanup(self.close)
        self.port = int(self._read_line().split()[2].rpartition(":")[2])


@needs_postgres
class FormerRelease(Postgres, StoreTestCase):
    def talk(self, server: ServerProcess) -> Talker:
        talker = Talker(self, connect(server.port, tls=False))
        self.addCleanup(talker.connection.close)
        return talker

    def refused(self, server: ServerProcess) -> None:
        guesser = self.talk(server)
        guesser.give_token()
        guesser.fail("Alice")

    def test_it_works_on_while_its_servers_are_replaced_one_by_one(self) -> None:
        tree = former_tree()
        if tree is None:
            raise unittest.SkipTest(f"the commit {FORMER} is not in this copy of the project")
        with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
            archive.extractall(self.folder / "former", filter="data")
        self.command("CREATE DATABASE former")
        self.addCleanup(self.command, "DROP DATABASE former WITH (FORCE)")
        url = self.store_url(database="former")
        settings: dict[str, Any] = {
            "mode": "auth",
            "port": 0,
            "store": url,
            "tls": {"enabled": False},
            "handlers": {"auth": {"options": QUICK_HASHES}},
        }
        former = FormerServer(self, self.folder / "former", self.write("former.yaml", yaml.safe_dump(settings)))
        token = self.talk(former).register("Alice")
        status, said, errors = call_program(
            store.main, "upgrade", "--config", str(self.write_configuration(store=url))
        )
        self.assertEqual((0, ""), (status, errors))
        self.assertIn("from version 2 to", said)
        today = self.start_process("auth", **settings)
        for server in (former, today):
            for name in ("Alice", "Bob"):
                client = self.talk(server)
                client.log_in(name) if name == "Alice" or server is today else client.register(name)
            back = self.talk(server)
            back.give_token(token)
            self.assertIn("Alice", back.expect(Kind.TEXT))
        # One lock for both: five wrong passwords are free, wherever they are tried.
        for server in (former, today) * 3:
            self.refused(server)
        for server in (former, today):
            locked = self.talk(server)
            locked.give_token()
            locked.answer(Kind.ASK, "Alice")
            locked.answer(Kind.SECRET, "correct horse")
        # A logout here ends the connections there, both ways.
        for here, there in ((former, today), (today, former)):
            bob = self.talk(here).log_in("Bob")
            inside = self.talk(there)
            inside.give_token(bob)
            inside.expect(Kind.TEXT)
            leaving = self.talk(here)
            leaving.give_token(bob)
            leaving.expect(Kind.TEXT)
            leaving.say("/logout")
            self.assertIn("your session was ended", inside.expect(Kind.ERROR))
        self.assertEqual(0, former.stop()[0])
        self.assertEqual(0, today.stop()[0])
