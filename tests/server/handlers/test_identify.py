"""The identify mode: each address has a name, without and with TLS."""

from typing import Any

from common.wire.kinds import Kind
from tests.support import PorterTestCase


class Behaviour:
    def test_an_unknown_address_is_asked_for_a_name_once(self: Any) -> None:
        with self.server("identify") as server:
            first = server.talk("127.0.0.2")
            first.answer(Kind.ASK, "Bob  the Builder")
            self.assertIn("Bob the Builder", first.expect(Kind.TEXT))
            again = server.talk("127.0.0.2")
            self.assertIn("Bob the Builder", again.expect(Kind.TEXT))
            server.log.wait_for("identified as Bob the Builder", count=2)

    def test_after_the_greeting_every_message_comes_back(self: Any) -> None:
        with self.server("identify") as server:
            client = server.talk()
            client.answer(Kind.ASK, "Bob")
            client.expect(Kind.TEXT)
            for text in ("hello", "", "/help", "a\nb"):
                client.say(text)
                client.expect(Kind.TEXT, text)

    def test_two_addresses_may_have_the_same_name(self: Any) -> None:
        with self.server("identify") as server:
            for source in ("127.0.0.2", "127.0.0.3"):
                client = server.talk(source)
                client.answer(Kind.ASK, "Bob")
                self.assertIn("Bob", client.expect(Kind.TEXT))

    def test_a_name_survives_a_restart(self: Any) -> None:
        with self.server("identify") as server:
            client = server.talk()
            client.answer(Kind.ASK, "Bob")
            client.expect(Kind.TEXT)
        with self.server("identify") as server:
            self.assertIn("Bob", server.talk().expect(Kind.TEXT))

    def test_an_invalid_name_is_explained_and_asked_for_three_times_in_all(self: Any) -> None:
        with self.server("identify") as server:
            client = server.talk()
            for name in ("", "a\nb", "x" * 65):
                client.answer(Kind.ASK, name)
                client.expect(Kind.ERROR)
            client.expect_end()
            client = server.talk()
            client.answer(Kind.ASK, "")
            client.expect(Kind.ERROR)
            client.answer(Kind.ASK, "Bob")
            client.expect(Kind.TEXT)

    def test_a_line_typed_early_is_the_answer(self: Any) -> None:
        with self.server("identify") as server:
            client = server.talk()
            client.say("Bob")
            client.say("hello")
            client.expect(Kind.ASK)
            self.assertIn("Bob", client.expect(Kind.TEXT))
            client.expect(Kind.TEXT, "hello")

    def test_a_refusal_names_the_limit_that_is_reached(self: Any) -> None:
        with self.server("identify", registration_limits={"per_address_per_hour": 9, "total": 1}) as server:
            first = server.talk("127.0.0.2")
            first.answer(Kind.ASK, "Bob")
            first.expect(Kind.TEXT)
            second = server.talk("127.0.0.3")
            second.answer(Kind.ASK, "Carol")
            self.assertIn("the server keeps 1 names, and no more", second.expect(Kind.ERROR))


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True
