"""kill -9 at any moment: acknowledged changes are there afterwards; other changes are there whole or not at all."""

import contextlib
import random
import sqlite3
import threading
from dataclasses import dataclass, field

from common.errors import ConnectionEnded
from common.wire.kinds import Kind
from tests.attacks.attacker import guess
from tests.endurance import LONG
from tests.endurance.faults import killed_at_call, needs_strace
from tests.support import PATIENCE, PorterTestCase, ServerProcess, Talker

HOME = "127.0.0.1"
WRITES = ("pwrite64", "fdatasync", "fsync", "unlink", "ftruncate")


@dataclass
class Life:
    """One client's knowledge of its account. The last request, `asked`, may have happened or not."""

    name: str
    password: str = ""
    token: str = ""
    asked: str = ""
    new_password: str = ""
    ended: list[str] = field(default_factory=list)

    def register(self, client: Talker) -> None:
        self.asked, self.new_password = "register", "correct horse"
        client.give_token()
        client.answer(Kind.ASK, self.name)
        client.answer(Kind.SECRET, self.new_password)
        client.answer(Kind.SECRET, self.new_password)
        self._done(client.expect(Kind.SET_TOKEN))
        client.expect(Kind.TEXT)

    def change_password(self, client: Talker, password: str) -> None:
        self.asked, self.new_password = "change", password
        client.say("/password")
        client.answer(Kind.SECRET, self.password)
        client.answer(Kind.SECRET, password)
        client.answer(Kind.SECRET, password)
        token = client.expect(Kind.SET_TOKEN)
        self.ended.append(self.token)
        self._done(token)
        client.expect(Kind.TEXT)

    def log_out(self, client: Talker) -> None:
        self.asked = "logout"
        client.say("/logout")
        client.expect(Kind.SET_TOKEN, "")
        self.ended.append(self.token)
        self.token = self.asked = ""
        client.expect(Kind.TEXT)
        client.expect_end()

    def _done(self, token: str) -> None:
        self.password, self.token, self.asked = self.new_password, token, ""


class Killed(PorterTestCase):
    def start(self) -> ServerProcess:
        lockout = {"free_attempts": 100}
        return self.start_process(
            "auth",
            limits={"max_connections_per_address": 1000},
            handlers={"auth": {"options": {"lockout": lockout, "registration": "closed"}}},
        )

    def check_integrity(self) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "data/porter.db")) as database:
            self.assertEqual([("ok",)], database.execute("PRAGMA integrity_check").fetchall())
            self.assertEqual([], database.execute("PRAGMA foreign_key_check").fetchall())
            halves = """SELECT name FROM accounts WHERE id NOT IN (SELECT account_id FROM skeletons)
                OR (id NOT IN (SELECT account_id FROM logins))"""
            self.assertEqual([], database.execute(halves).fetchall())

    def is_good(self, server: ServerProcess, token: str) -> bool:
        client = server.talk()
        client.give_token(token)
        kind, _ = client.next()
        client.connection.close()
        return kind is Kind.TEXT

    def check(self, server: ServerProcess, life: Life) -> None:
        for token in life.ended:
            self.assertFalse(self.is_good(server, token), life)
        works = [
            password for password in {life.password, life.new_password} if guess(server, HOME, life.name, password)
        ]
        if life.asked == "register":
            self.assertIn(works, ([], [life.new_password]))
        elif life.asked == "change":
            self.assertEqual(1, len(works), life)
            self.assertEqual(works == [life.password], self.is_good(server, life.token), life)
        elif life.password:
            self.assertEqual([life.password], works, life)
            if life.token and not life.asked:
                self.assertTrue(self.is_good(server, life.token), life)

    def test_a_kill_at_a_random_moment_under_load_loses_nothing_acknowledged(self) -> None:
        chance = random.Random(4)
        lives: list[Life] = []
        for number in range(100 if LONG else 3):
            server = self.start_process("auth", limits={"max_connections_per_address": 1000})
            fresh = [Life(f"r{number}c{client}") for client in range(6)]
            threads = [threading.Thread(target=self.live, args=[server, life, chance.random()]) for life in fresh]
            for thread in threads:
                thread.start()
            threading.Event().wait(chance.uniform(0.02, 0.5))
            server.process.kill()
            for thread in threads:
                thread.join(PATIENCE)
            server.close()
            again = self.start()
            for life in fresh:
                self.check(again, life)
            self.check_integrity()
            again.close()
            lives += fresh
        self.assertTrue(any(life.password for life in lives) and any(life.asked for life in lives))

    def live(self, server: ServerProcess, life: Life, choice: float) -> None:
        """Register, then log out or change the password again and again, until the server is gone."""
        with contextlib.suppress(ConnectionEnded, OSError, AssertionError):
            client = server.talk()
            life.register(client)
            if choice < 0.2:
                life.log_out(client)
            number = 0
            while life.token:
                number += 1
                life.change_password(client, f"horse number {number}")

    @needs_strace
    def test_a_kill_at_any_write_of_a_registration_leaves_it_whole_or_absent(self) -> None:
        survived = False
        number = 0
        while not survived:
            number += 1 if LONG else 8
            server = self.start_process("auth")
            life = Life(f"user{number}")
            with killed_at_call(server, WRITES, number):
                client = server.talk()
                try:
                    life.register(client)
                    survived = True
                except (ConnectionEnded, AssertionError):
                    self.assertEqual("", life.token)
            server.close()
            again = self.start()
            self.check(again, life)
            again.close()
            self.check_integrity()
        self.assertGreater(number, 30)  # a registration makes at least this many writes
