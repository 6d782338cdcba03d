"""The chat over several workers, and over several servers that share a database; one of them may be killed."""

import os
import signal
from pathlib import Path
from typing import Any

from common.wire.kinds import Kind
from tests.server.store_case import Pgbouncer, Postgres, StoreTestCase, needs_pgbouncer, needs_postgres
from tests.support import QUICK_HASHES, PorterTestCase, ServerProcess, Talker

CHAT = {"chat": {"options": {**QUICK_HASHES, "history": 5}}}


def hears(talker: Talker, *lines: str) -> None:
    """Wait for lines in this order; what is said between them may be anything."""
    for line in lines:
        while talker.expect(Kind.TEXT) != line:
            pass


def descriptors(pid: str) -> set[str]:
    """Return what a process has open."""
    return {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}


def who(talker: Talker) -> list[str]:
    """Return who is in the room, as this member is told."""
    talker.say("/who")
    while (text := talker.expect(Kind.TEXT)).startswith("* ") or ":" in text:
        pass
    return sorted(text.split(", "))


class Behaviour:
    """What two members notice whose connections are in different processes: `places` gives a client for each."""

    places: list[Talker]

    def enter(self: Any) -> None:
        for talker, name in zip(self.places, ("Alice", "Bob"), strict=True):
            talker.answer(Kind.ASK, name)
            for _ in range(2):
                talker.answer(Kind.SECRET, "correct horse")
            talker.expect(Kind.SET_TOKEN)
            hears(talker, f"* {name} is here")
        hears(self.places[0], "* Bob is here")

    def test_all_hear_each_other_in_one_order(self: Any) -> None:
        self.enter()
        alice, bob = self.places
        for number in range(20):
            alice.say(f"a{number}")
            bob.say(f"b{number}")
        heard = [[talker.expect(Kind.TEXT) for _ in range(40)] for talker in self.places]
        self.assertEqual(heard[0], heard[1])
        self.assertEqual([f"Alice: a{number}" for number in range(20)], [line for line in heard[0] if "A" in line])

    def test_all_are_there_for_who_and_whoever_comes_hears_the_last_lines_of_all(self: Any) -> None:
        self.enter()
        alice, bob = self.places
        for talker in self.places:
            self.assertEqual(["Alice", "Bob"], who(talker))
        alice.say("/join garden")
        hears(alice, "* Alice is here")
        hears(bob, "* Alice has gone")
        self.assertEqual(["Bob"], who(bob))
        bob.say("it is quiet here")
        hears(bob, "Bob: it is quiet here")
        alice.say("/join lobby")
        hears(bob, "* Alice is here")
        self.assertEqual("Bob: it is quiet here", alice.expect(Kind.TEXT))

    def test_of_a_killed_server_the_members_go_and_the_others_miss_no_line(self: Any) -> None:
        self.enter()
        alice, bob = self.places
        bob.say("before")
        hears(alice, "Bob: before")
        os.kill(self.serving(bob), signal.SIGKILL)
        alice.say("meanwhile")
        hears(alice, "Alice: meanwhile", "* Bob has gone")
        self.assertEqual(["Alice"], who(alice))
        back = self.again()
        back.log_in("Bob")
        self.assertEqual(["Bob: before", "Alice: meanwhile"], [back.expect(Kind.TEXT) for _ in range(2)])
        hears(alice, "* Bob is here")
        self.assertEqual(["Alice", "Bob"], who(back))


class Workers(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server_process = self.start_process(
            mode="chat", workers=2, handlers=CHAT, tls={"enabled": False}, limits={"drain_timeout": 2}
        )
        found: dict[int, Talker] = {}
        while len(found) < 2:
            talker = self.server_process.talk()
            talker.give_token()  # it is asked for, so a worker serves the client
            found.setdefault(self.serving(talker), talker)
        self.places = list(found.values())

    def serving(self, talker: Talker) -> int:
        """Return the worker that has the other end of a client's connection."""
        port = talker.connection.socket.getsockname()[1]
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        ends = f":{self.server_process.port:04X}", f":{port:04X}"
        inode = next(line[9] for line in lines if (line[1][-5:], line[2][-5:]) == ends)
        parent = self.server_process.process.pid
        workers = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return next(int(pid) for pid in workers if f"socket:[{inode}]" in descriptors(pid))

    def again(self) -> Talker:
        return self.server_process.talk()


class Servers(Behaviour):
    """Two servers on one database."""

    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.servers: list[ServerProcess] = [self.start() for _ in range(2)]
        self.places = [server.talk() for server in self.servers]
        for talker in self.places:
            talker.give_token()

    def start(self: Any) -> ServerProcess:
        server: ServerProcess = self.start_process(mode="chat", store=self.store_url(), handlers=CHAT)
        return server

    def serving(self: Any, talker: Talker) -> int:
        server: ServerProcess = self.servers[self.places.index(talker)]
        return server.process.pid

    def again(self: Any) -> Talker:
        talker: Talker = self.start().talk()
        return talker


@needs_postgres
class OnPostgresql(Postgres, Servers, StoreTestCase):
    pass


@needs_pgbouncer
class BehindPgbouncer(Pgbouncer, Servers, StoreTestCase):
    pass
