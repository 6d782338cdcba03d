"""The verbs of a handler, and the exceptions that it gets or raises."""

import sys
import types
from typing import Any

from common.errors import PeerClosed
from common.wire.kinds import Kind, compose
from server.handlers.handler import Handler
from tests.support import PorterTestCase, RunningServer


class WordCount(Handler):
    """Counts the words of each line."""

    class Options(Handler.Options):
        prompt: str = "> "

    options: Options

    def converse(self) -> None:
        while line := self.ask(self.options.prompt):
            self.say(f"{len(line.split())} words")


class Verbs(Handler):
    def converse(self) -> None:
        self.say("")
        self.error("wrong")
        self.say(self.ask_secret("secret? "))
        self.store_token("abc")
        self.say(self.recall_token())
        try:
            self.hear()
        except PeerClosed:
            self.log.info("saw the end")
            raise


class Broken(Handler):
    def converse(self) -> None:
        raise ZeroDivisionError("a secret detail")


class Missing(Handler):
    def converse(self) -> None:
        open("/no/such/file").close()


class Handlers(PorterTestCase):
    def serve(self, name: str, **options: Any) -> Any:
        entry = {"class": f"{__name__}:{name}", "options": options}
        return self.server("mine", handlers={"mine": entry})

    def test_a_custom_handler_needs_only_its_class_in_the_configuration(self) -> None:
        with self.serve("WordCount", prompt="count: ") as server:
            client = server.talk()
            self.assertEqual("count: ", client.answer(Kind.ASK, "one two three"))
            client.expect(Kind.TEXT, "3 words")
            client.answer(Kind.ASK, "")
            client.expect_end()

    def test_each_verb_sends_or_receives_its_kind(self) -> None:
        with self.serve("Verbs") as server:
            client = server.talk()
            client.expect(Kind.TEXT, "")
            client.expect(Kind.ERROR, "wrong")
            client.answer(Kind.SECRET, "psst")
            client.expect(Kind.TEXT, "psst")
            client.expect(Kind.SET_TOKEN, "abc")
            client.give_token("abc")
            client.expect(Kind.TEXT, "abc")
            client.connection.close()
            server.log.wait_for("saw the end")

    def test_an_unknown_kind_or_an_empty_message_is_a_breach(self) -> None:
        with self.serve("WordCount") as server:
            for message in ("HELLO", "", "text", "ASK x"):
                client = server.talk()
                client.expect(Kind.ASK)
                client.connection.send_message(message)
                self.assertIn("a message must begin with TEXT or TOKEN", client.expect(Kind.ERROR))
                client.expect_end()
            server.log.wait_for("WARNING 127.0.0.1", count=4)

    def test_a_token_does_not_answer_a_question(self) -> None:
        with self.serve("WordCount") as server:
            client = server.talk()
            client.expect(Kind.ASK)
            client.connection.send_message(compose(Kind.TOKEN, "x"))
            client.expect(Kind.ERROR)

    def test_a_fault_in_the_handler_is_logged_and_not_shown_to_the_client(self) -> None:
        with self.serve("Broken") as server:
            client = server.talk()
            client.expect(Kind.ERROR, "internal error")
            client.expect_end()
            server.log.wait_for("ERROR 127.0.0.1")
        log = (self.folder / "server.log").read_text()
        self.assertIn("ZeroDivisionError: a secret detail", log)

    def test_a_flood_of_faults_is_counted_in_the_log(self) -> None:
        with self.serve("Broken") as server:
            for _ in range(50):
                server.talk().expect(Kind.ERROR, "internal error")
        log = (self.folder / "server.log").read_text()
        self.assertEqual(10, log.count("Traceback"))
        self.assertRegex(log, r"failed: ZeroDivisionError in test_handler.py, line \d+ \(40 more times within")

    def test_a_missing_file_is_an_internal_error_and_not_a_lost_connection(self) -> None:
        with self.serve("Missing") as server:
            server.talk().expect(Kind.ERROR, "internal error")
            server.log.wait_for("ERROR 127.0.0.1")

    def test_shared_objects_are_prepared_once(self) -> None:
        made = []

        class Counting(Handler):
            @classmethod
            def prepare(cls, options: Any, resources: Any) -> list[int]:
                made.append(1)
                return made

            def converse(self) -> None:
                self.say(str(len(self.shared)))

        module = types.ModuleType("porter_test_handler")
        module.Counting = Counting  # type: ignore[attr-defined]
        sys.modules["porter_test_handler"] = module
        self.addCleanup(sys.modules.pop, "porter_test_handler")
        with self.server("mine", handlers={"mine": {"class": "porter_test_handler:Counting"}}) as server:
            self.assertIsInstance(server, RunningServer)
            for _ in range(3):
                server.talk().expect(Kind.TEXT, "1")
