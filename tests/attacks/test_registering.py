"""Registering: many variants of a name at once through two servers, and more accounts than there may be."""

import json
from functools import partial

from common.wire.kinds import Kind
from server.administration import users
from tests.attacks.attacker import AttackCase, sources
from tests.support import ServerProcess, at_once, call_program

VARIANTS = ("alice", "ALICE", "Alice", "\uff41lice", "a1ice", "aIice", "\uff21LICE", "al\u0131ce")


class Registering(AttackCase):
    def register(self, server: ServerProcess, source: str, name: str, outcomes: list[str]) -> None:
        """Register, or try the same password where the name is known by then; what came of it."""
        client = server.talk(source)
        client.give_token()
        client.answer(Kind.ASK, name)
        client.answer(Kind.SECRET, "correct horse")
        kind, said = client.next()
        if kind is Kind.SECRET:
            client.say("correct horse")
            kind, said = client.next()
            outcomes.append("owner" if kind is Kind.SET_TOKEN else said)
        else:
            outcomes.append("logged in" if kind is Kind.SET_TOKEN else said)

    def test_of_64_at_once_one_becomes_the_owner_and_the_others_get_an_ordinary_answer(self) -> None:
        servers = [self.start_process(mode="auth") for _ in range(2)]
        outcomes: list[str] = []
        at_once(
            *(
                partial(self.register, servers[number % 2], source, VARIANTS[number // 2 % 8], outcomes)
                for number, source in enumerate(sources(64))
            )
        )
        self.assertEqual(64, len(outcomes))
        self.assertEqual(1, outcomes.count("owner"), outcomes)
        ordinary = {
            "logged in",
            "that name exists already",
            "that name looks like one that exists already",
            "wrong name or password",
            "busy, try again in a moment",
        }
        self.assertLessEqual(set(outcomes) - {"owner"}, ordinary)
        listed = json.loads(call_program(users.main, "list", "--json", "--config", self.configuration_path())[1])
        self.assertEqual(1, len(listed))
        for server in servers:
            self.assertEqual(0, server.stop()[0])
        self.assertNotIn("ERROR", server.log())

    def test_the_limits_bind_one_source_and_all_and_say_so(self) -> None:
        server = self.start_process(mode="auth", registration_limits={"per_address_per_hour": 2, "total": 3})
        outcomes: list[str] = []
        for name in ("one", "two", "three"):
            self.register(server, "127.0.0.2", name, outcomes)
        for name in ("four", "five"):
            self.register(server, "127.0.0.3", name, outcomes)
        self.assertEqual(
            [
                "owner",
                "owner",
                "no more than 2 new names from one address in an hour",
                "owner",
                "no more than 3 names in all: ask the administrator",
            ],
            outcomes,
        )

    def test_a_reserved_name_or_one_of_two_scripts_is_refused_before_a_password_is_asked_for(self) -> None:
        server = self.start_process(mode="auth")
        client = server.talk()
        client.give_token()
        for name, reason in (("Root", "reserved"), ("r00t", "reserved"), ("b\u043eb", "one script")):
            client.answer(Kind.ASK, name)
            self.assertIn(reason, client.expect(Kind.ERROR))

    def configuration_path(self) -> str:
        return str(self.folder / "server.yaml")


class Introducing(AttackCase):
    def test_identify_s_names_are_bound_too(self) -> None:
        limits = {"per_address_per_hour": 1000, "total": 2}
        server = self.start_process(mode="identify", registration_limits=limits)
        answers = []
        for source in sources(3):
            client = server.talk(source)
            client.answer(Kind.ASK, "Bob")
            answers.append(client.next()[1])
        self.assertEqual(["Hello, Bob!"] * 2 + ["no more than 2 names in all: ask the administrator"], answers)
