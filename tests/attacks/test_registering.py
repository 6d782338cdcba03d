"""Registering: many variants of a name at once through two servers, and more accounts than the limits allow."""

import json
from functools import partial

from common.wire.kinds import Kind
from server.administration import users
from tests.attacks.attacker import AttackCase, sources
from tests.support import ServerProcess, at_once, call_program

VARIANTS = ("alice", "ALICE", "Alice", "\uff41lice", "a1ice", "aIice", "\uff21LICE", "al\u0131ce")


class Registering(AttackCase):
    def register(self, server: ServerProcess, source: str, name: str, outcomes: list[str]) -> None:
        """Register, or try the same password if the name exists by then. Append the outcome to `outcomes`."""
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

    def test_one_of_64_simultaneous_registrations_wins_and_the_others_get_an_ordinary_answer(self) -> None:
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
            "this name exists already",
            "this name looks like one that exists already",
            "wrong name or password",
            "the server is busy, try again in a moment",
        }
        self.assertLessEqual(set(outcomes) - {"owner"}, ordinary)
        listed = json.loads(call_program(users.main, "list", "--json", "--config", self.configuration_path())[1])
        self.assertEqual(1, len(listed))
        for server in servers:
            self.assertEqual(0, server.stop()[0])
        self.assertNotIn("ERROR", server.log())

    def test_each_source_and_the_whole_server_have_a_limit_and_the_refusal_names_it(self) -> None:
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
                "one address may register 2 names in an hour, and no more",
                "owner",
                "the server keeps 3 names, and no more: ask the administrator",
            ],
            outcomes,
        )

    def test_a_reserved_or_mixed_script_name_is_refused_before_the_password_is_asked(self) -> None:
        server = self.start_process(mode="auth")
        client = server.talk()
        client.give_token()
        for name, reason in (("Root", "reserved"), ("r00t", "reserved"), ("b\u043eb", "one script")):
            client.answer(Kind.ASK, name)
            self.assertIn(reason, client.expect(Kind.ERROR))

    def configuration_path(self) -> str:
        return str(self.folder / "server.yaml")


class Introducing(AttackCase):
    def test_the_limits_apply_to_the_identify_mode_too(self) -> None:
        limits = {"per_address_per_hour": 1000, "total": 2}
        server = self.start_process(mode="identify", registration_limits=limits)
        answers = []
        for source in sources(3):
            client = server.talk(source)
            client.answer(Kind.ASK, "Bob")
            answers.append(client.next()[1])
        self.assertEqual(
            ["Hello, Bob!"] * 2 + ["the server keeps 2 names, and no more: ask the administrator"], answers
        )
