"""Modes that build on auth and identify: replies, commands with and without an argument, who is logged in."""

from typing import Any

from common.wire.kinds import Kind
from server.handlers.auth import AuthHandler, User
from server.handlers.identify import IdentifyHandler
from server.handlers.resources import Resources
from tests.support import PorterTestCase


class Shop(AuthHandler):
    """A mode for users who are logged in."""

    @classmethod
    def share(cls, options: Any, resources: Resources) -> list[str]:
        return ["bread"]

    def greeted(self) -> None:
        self.say(f"We have {', '.join(self.shared)}.")

    def reply(self, text: str) -> None:
        """is an order"""
        self.say(f"{self.user.name} orders {text}")

    def do_add_item(self, item: str) -> None:
        """adds to what we have

        This line is for readers of the code.
        """
        self.shared.append(item)
        self.say(f"now {len(self.shared)}")

    def do_user(self) -> None:
        """who you are"""
        self.say(repr(self.user))


class Guests(IdentifyHandler):
    """A mode that knows its clients by their address."""

    def do_me(self) -> None:
        """your name"""
        self.say(self.name)


class Commands(PorterTestCase):
    def mode(self, name: str) -> Any:
        return self.server("mine", handlers={"mine": {"class": f"{__name__}:{name}"}})

    def test_a_line_that_is_no_command_gets_the_reply_of_the_mode(self) -> None:
        with self.mode("Shop") as server:
            client = server.talk()
            client.register("Alice")
            client.expect(Kind.TEXT, "We have bread.")
            client.say("two loaves")
            client.expect(Kind.TEXT, "Alice orders two loaves")

    def test_help_lists_the_commands_of_the_mode_and_of_those_it_builds_on(self) -> None:
        with self.mode("Shop") as server:
            client = server.talk()
            client.register("Alice")
            client.expect(Kind.TEXT)
            client.say("/help")
            lines = client.expect(Kind.TEXT).splitlines()
            self.assertEqual("/help        this list", lines[0])
            self.assertIn("/logout      end this session, with its token", lines)
            self.assertIn("/add-item    adds to what we have", lines)
            self.assertEqual("Any other line is an order.", lines[-1])

    def test_a_command_gets_what_stands_behind_it_if_it_takes_something(self) -> None:
        with self.mode("Shop") as server:
            client = server.talk()
            client.register("Alice")
            client.expect(Kind.TEXT)
            client.say("/add-item  rye bread ")
            client.expect(Kind.TEXT, "now 2")
            client.say("/logout now")
            self.assertIn("/logout takes nothing behind it", client.expect(Kind.ERROR))
            client.say("/user")
            client.expect(Kind.TEXT, repr(User("Alice", 1, 1)))

    def test_what_is_shared_is_the_same_for_all(self) -> None:
        with self.mode("Shop") as server:
            first = server.talk()
            first.register("Alice")
            first.say("/add-item cake")
            for _ in range(2):
                first.expect(Kind.TEXT)
            second = server.talk()
            second.register("Bob")
            second.expect(Kind.TEXT, "We have bread, cake.")

    def test_a_mode_on_identify_has_commands_if_it_defines_some(self) -> None:
        with self.mode("Guests") as server:
            client = server.talk()
            client.answer(Kind.ASK, "Bob")
            client.expect(Kind.TEXT)
            for line, kind, text in (("/me", Kind.TEXT, "Bob"), ("hello", Kind.TEXT, "hello")):
                client.say(line)
                client.expect(kind, text)
            client.say("/help")
            self.assertIn("/me    your name", client.expect(Kind.TEXT))

    def test_nobody_is_logged_in_before_the_login(self) -> None:
        with self.mode("Early") as server:
            client = server.talk()
            client.expect(Kind.ERROR, "internal error")
            server.log.wait_for("a handler failed")


class Early(AuthHandler):
    """A mode with a mistake."""

    def converse(self) -> None:
        self.say(self.user.name)
