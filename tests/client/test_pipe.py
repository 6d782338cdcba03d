"""The client in a pipe: when it sends each line. The test itself is the server."""

import contextlib
import io
import os
import threading
import time

from client.conversation import Conversation
from client.line import Line
from client.pipe import Lines, Patience, PipeScreen, converse
from client.state import State
from client.tokens import Tokens
from client.trust import Endpoint, Peer
from common.errors import ConnectionLost, DeadlineExceeded, ExitStatus, NotPermitted, Unavailable, UsageError
from common.wire.kinds import Kind, compose
from common.wire.sockets import Timeouts
from tests.support import PATIENCE, PorterTestCase, scaled, socket_pair


class Pipe(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.peer = socket_pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.peer.close)
        reader, self.writer = os.pipe()
        self.lines = Lines(reader)
        self.addCleanup(os.close, reader)
        self.out, self.errors = io.StringIO(), io.StringIO()
        self.outcome: ExitStatus | Exception | None = None

    def type(self, text: str, *, end: bool = True) -> None:
        os.write(self.writer, text.encode())
        if end:
            os.close(self.writer)

    def start(self, secret: str | None = None, patience: Patience | None = None) -> threading.Thread:
        peer = Peer(Endpoint("h", 1), "c", is_private=True)
        conversation = Conversation(Line(self.ours, peer, Tokens(State(None, self.fail), peer)), PipeScreen(), secret)

        def run() -> None:
            try:
                self.outcome = converse(conversation, self.lines, patience or Patience(PATIENCE))
            except Exception as error:
                self.outcome = error

        stack = contextlib.ExitStack()
        stack.enter_context(contextlib.redirect_stdout(self.out))
        stack.enter_context(contextlib.redirect_stderr(self.errors))
        self.addCleanup(stack.close)
        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        return thread

    def say(self, kind: Kind, text: str = "") -> None:
        self.peer.send_message(compose(kind, text))

    def heard(self) -> str | None:
        return self.peer.receive_message()

    def finish(self, thread: threading.Thread) -> ExitStatus | Exception | None:
        self.peer.close()
        thread.join(PATIENCE)
        return self.outcome

    def test_each_question_takes_the_next_line(self) -> None:
        self.type("Bob\nhorse\n")
        thread = self.start()
        self.say(Kind.ASK, "Name: ")
        self.assertEqual("TEXT Bob", self.heard())
        self.say(Kind.SECRET, "Password: ")
        self.assertEqual("TEXT horse", self.heard())
        self.say(Kind.TEXT, "Hello!")
        self.assertEqual(ExitStatus.DONE, self.finish(thread))
        self.assertEqual(("Hello!\n", ""), (self.out.getvalue(), self.errors.getvalue()))

    def test_a_line_without_a_question_waits_for_a_moment_of_silence(self) -> None:
        self.type("one\ntwo\n")
        start = time.monotonic()
        thread = self.start()
        self.assertEqual("TEXT one", self.heard())
        first = time.monotonic()
        self.assertEqual("TEXT two", self.heard())
        second = time.monotonic()
        self.assertGreaterEqual(first - start, 0.29)
        self.assertGreaterEqual(second - first, 0.29)
        self.say(Kind.TEXT, "x")
        self.finish(thread)

    def test_the_next_line_is_sent_at_once_after_an_answer(self) -> None:
        self.type("".join(f"{number}\n" for number in range(200)))
        thread = self.start()
        start = time.monotonic()
        for number in range(200):
            self.assertEqual(f"TEXT {number}", self.heard())
            self.say(Kind.TEXT, f"re {number}")
        self.assertLess(time.monotonic() - start, 5)
        self.finish(thread)
        self.assertEqual([f"re {number}" for number in range(200)], self.out.getvalue().splitlines())

    def test_a_question_for_the_token_sends_no_line(self) -> None:
        self.type("line\n")
        thread = self.start()
        self.say(Kind.GET_TOKEN)
        self.assertEqual("TOKEN", self.heard())
        self.say(Kind.ASK, "Name: ")
        self.assertEqual("TEXT line", self.heard())
        self.finish(thread)

    def test_no_line_is_sent_between_an_error_and_the_question_after_it(self) -> None:
        self.type("alice\nalice\n")
        thread = self.start(secret="horse")
        self.say(Kind.ASK, "Name: ")
        self.assertEqual("TEXT alice", self.heard())
        self.say(Kind.SECRET, "Password: ")
        self.assertEqual("TEXT horse", self.heard())
        self.say(Kind.ERROR, "wrong")
        self.say(Kind.ASK, "Name: ")
        self.assertEqual("TEXT alice", self.heard())
        self.say(Kind.SECRET, "Password: ")
        self.assertEqual("TEXT horse", self.heard())
        self.say(Kind.ERROR, "wrong")
        self.assertIsInstance(self.finish(thread), NotPermitted)
        self.assertIn("before the login was complete", str(self.outcome))
        self.assertEqual("wrong\nwrong\n", self.errors.getvalue())

    def test_a_line_that_crosses_the_next_question_is_its_answer(self) -> None:
        self.type("one\n\n")
        thread = self.start()
        self.say(Kind.ASK, "A line: ")
        self.assertEqual("TEXT one", self.heard())
        self.say(Kind.TEXT, "1 word")
        self.assertEqual("TEXT", self.heard())
        self.say(Kind.ASK, "A line: ")  # written before that line came
        self.assertEqual(ExitStatus.DONE, self.finish(thread))
        self.assertEqual("", self.errors.getvalue())

    def test_a_question_that_answers_the_last_line_is_quoted(self) -> None:
        self.type("alice\n/password\n")
        thread = self.start()
        self.say(Kind.ASK, "Name: ")
        self.assertEqual("TEXT alice", self.heard())
        self.say(Kind.TEXT, "Hello!")
        self.assertEqual("TEXT /password", self.heard())
        self.say(Kind.SECRET, "Current password: ")
        self.assertIsNone(self.heard())
        self.finish(thread)
        self.assertIsInstance(self.outcome, NotPermitted)
        self.assertIn("Current password:", str(self.outcome))

    def test_the_end_of_the_input_ends_the_client_s_side_once_the_server_has_spoken(self) -> None:
        self.type("x\n")
        thread = self.start()
        self.assertEqual("TEXT x", self.heard())
        self.say(Kind.TEXT, "re x")
        start = time.monotonic()
        self.assertIsNone(self.heard())
        self.assertLess(time.monotonic() - start, scaled(0.25), "there is nothing to wait for")
        self.say(Kind.TEXT, "one more")
        self.assertEqual(ExitStatus.DONE, self.finish(thread))
        self.assertEqual("re x\none more\n", self.out.getvalue())

    def test_an_answer_that_takes_long_is_shown_however_late_it_comes(self) -> None:
        self.type("x\n")
        thread = self.start()
        self.assertEqual("TEXT x", self.heard())
        self.assertIsNone(self.heard(), "the server never asked, so a moment of silence ends the client's side")
        threading.Timer(scaled(1), self.say, [Kind.TEXT, "late"]).run()
        self.assertEqual(ExitStatus.DONE, self.finish(thread))
        self.assertEqual("late\n", self.out.getvalue())

    def test_without_any_input_the_client_ends_its_side_after_a_moment(self) -> None:
        self.type("")
        thread = self.start()
        start = time.monotonic()
        self.assertIsNone(self.heard())
        self.assertGreaterEqual(time.monotonic() - start, 0.25)
        self.assertEqual(ExitStatus.DONE, self.finish(thread))

    def test_an_unanswered_answer_keeps_the_client_s_side_open(self) -> None:
        self.type("Bob\n")
        thread = self.start()
        self.say(Kind.ASK, "Name: ")
        self.assertEqual("TEXT Bob", self.heard())
        self.peer.timeouts = Timeouts(idle=scaled(0.6))
        self.assertRaises(DeadlineExceeded, self.heard)
        self.say(Kind.TEXT, "Hello!")
        self.assertIsNone(self.heard())
        self.assertEqual(ExitStatus.DONE, self.finish(thread))

    def test_a_token_that_is_sent_keeps_the_client_s_side_open_until_the_server_speaks(self) -> None:
        self.type("")
        thread = self.start()
        self.say(Kind.GET_TOKEN)
        self.assertEqual("TOKEN", self.heard())
        self.peer.timeouts = Timeouts(idle=scaled(0.6))
        self.assertRaises(DeadlineExceeded, self.heard)
        self.say(Kind.TEXT, "Hello!")
        self.assertIsNone(self.heard())
        self.assertEqual(ExitStatus.DONE, self.finish(thread))

    def test_a_question_after_the_client_s_end_gets_no_answer(self) -> None:
        self.type("")
        thread = self.start()
        self.assertIsNone(self.heard())
        self.say(Kind.GET_TOKEN)
        self.say(Kind.TEXT, "Bye.")
        self.assertEqual(ExitStatus.DONE, self.finish(thread))
        self.assertEqual(("Bye.\n", ""), (self.out.getvalue(), self.errors.getvalue()))

    def test_an_error_as_the_last_word_is_no_failure_of_a_client_that_has_said_all(self) -> None:
        self.type("/foo\n")
        thread = self.start()
        self.assertEqual("TEXT /foo", self.heard())
        self.say(Kind.ERROR, "there is no command /foo")
        self.assertIsNone(self.heard())
        self.assertEqual(ExitStatus.DONE, self.finish(thread))

    def test_a_question_that_nobody_answers_is_quoted_and_not_permitted(self) -> None:
        self.type("")
        thread = self.start()
        self.say(Kind.GET_TOKEN)
        self.assertEqual("TOKEN", self.heard())
        self.say(Kind.ASK, "Name: ")
        self.assertIsNone(self.heard())
        self.assertIsInstance(self.finish(thread), NotPermitted)
        self.assertEqual("the server asks 'Name:', and the input has ended", str(self.outcome))

    def test_a_server_that_is_silent_for_too_long_is_unavailable(self) -> None:
        self.type("x\n")
        thread = self.start(patience=Patience(scaled(0.7)))
        self.assertEqual("TEXT x", self.heard())
        thread.join(PATIENCE)
        self.assertIsInstance(self.outcome, Unavailable)
        self.assertIn("has said nothing for", str(self.outcome))

    def test_a_silent_server_with_an_open_question_is_not_permitted(self) -> None:
        self.type("")
        thread = self.start(patience=Patience(scaled(0.7)))
        self.say(Kind.ASK, "Name: ")
        thread.join(PATIENCE)
        self.assertIsInstance(self.outcome, NotPermitted)

    def test_a_client_with_a_password_waits_longer_for_the_first_question(self) -> None:
        start = time.monotonic()
        self.type("")
        thread = self.start(secret="horse")
        self.assertIsNone(self.heard())
        self.assertGreaterEqual(time.monotonic() - start, 2.9)
        self.finish(thread)

    def test_follow_keeps_the_client_s_side_open(self) -> None:
        self.type("x\n")
        thread = self.start(patience=Patience(scaled(0.1), follows=True))
        self.assertEqual("TEXT x", self.heard())
        self.say(Kind.TEXT, "re x")
        self.peer.timeouts = Timeouts(idle=scaled(0.8))
        self.assertRaises(DeadlineExceeded, self.heard)
        self.say(Kind.TEXT, "news")
        self.assertEqual(ExitStatus.DONE, self.finish(thread))
        self.assertEqual("re x\nnews\n", self.out.getvalue())

    def test_an_end_in_the_middle_of_a_login_is_told(self) -> None:
        self.type("Bob\nx\n")
        thread = self.start()
        self.say(Kind.ASK, "Name: ")
        self.assertEqual("TEXT Bob", self.heard())
        self.say(Kind.SECRET, "Password: ")
        self.assertEqual("TEXT x", self.heard())
        self.assertIsInstance(self.finish(thread), Unavailable)
        self.assertIn("before the login was complete", str(self.outcome))

    def test_exit_and_empty_lines_are_sent_as_text(self) -> None:
        self.type("exit\n\n x \nlast without a break")
        thread = self.start()
        heard = []
        for _ in range(4):
            heard.append(self.heard())
            self.say(Kind.TEXT, "ok")
        self.assertEqual(["TEXT exit", "TEXT", "TEXT  x ", "TEXT last without a break"], heard)
        self.finish(thread)

    def test_an_end_before_all_lines_are_sent_is_a_lost_connection(self) -> None:
        self.type("one\ntwo\nthree\n")
        thread = self.start()
        self.heard()
        self.say(Kind.TEXT, "x")
        self.heard()
        self.assertIsInstance(self.finish(thread), ConnectionLost)

    def test_a_line_that_is_not_utf8_is_reported_when_its_turn_comes(self) -> None:
        os.write(self.writer, b"good\nbad\xff\n")
        os.close(self.writer)
        thread = self.start()
        self.assertEqual("TEXT good", self.heard())
        self.say(Kind.TEXT, "x")
        thread.join(PATIENCE)
        self.assertIsInstance(self.outcome, UsageError)
        self.assertIn("line 2 of standard input is not UTF-8", str(self.outcome))

    def test_a_closed_input_is_at_its_end(self) -> None:
        lines = Lines(9999)
        lines.read()
        self.assertTrue(lines.has_ended)
        os.close(self.writer)

    def test_a_long_line_is_one_line(self) -> None:
        path = self.write("long", "x" * 3_000_000 + "\nshort\n")
        descriptor = os.open(path, os.O_RDONLY)
        lines = Lines(descriptor)
        while not lines.has_ended:
            lines.read()
        os.close(descriptor)
        os.close(self.writer)
        self.assertEqual((3_000_000, "short", False), (len(lines.next()), lines.next(), lines.is_waiting))
