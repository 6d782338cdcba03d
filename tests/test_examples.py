"""The examples, as docs/handlers.md says that modes are tested: by a script, or by a real server."""

import gc
import re

from common.wire.kinds import Kind
from examples.clock import Clock
from examples.quiz import Quiz
from examples.word_count import WordCount
from server.handlers.room import Room
from server.testing import serving, talk
from tests.support import PorterTestCase, Talker, connect


class ByScript(PorterTestCase):
    def test_the_word_counter_counts_until_an_empty_line(self) -> None:
        said = talk(WordCount, "one two three", "", prompt="? ")
        self.assertEqual(["ASK ? ", "TEXT 3 words", "ASK ? "], said)

    def test_the_quiz_counts_right_answers_and_ends(self) -> None:
        said = talk(Quiz, "4", "Rome")
        self.assertEqual(["TEXT Right!", "ASK The capital of France? ", "ERROR No: Paris.", "TEXT 1 of 2"], said[1:])

    def test_a_quiz_that_is_left_says_no_more(self) -> None:
        self.assertEqual(["ASK 1? "], talk(Quiz, questions={"1?": "1"}))

    def test_a_clock_answers_that_it_is_one(self) -> None:
        room: Room[Clock] = Room()
        self.assertEqual(["TEXT I am only a clock."], talk(Clock, "hello", shared=room))
        self.assertEqual(0, len(room))


class ByServer(PorterTestCase):
    def test_a_clock_pushes_the_time_to_all(self) -> None:
        mode = {"class": "examples.clock:Clock", "options": {"seconds": 0.05}}
        with serving(mode="clock", handlers={"clock": mode}) as port:
            clients = [Talker(self, connect(port, tls=False)) for _ in range(2)]
            for client in clients:
                self.addCleanup(client.connection.close)
                for _ in range(3):
                    kind, text = client.next()
                    self.assertEqual(Kind.TEXT, kind)
                    self.assertTrue(re.fullmatch(r"\d\d:\d\d:\d\d", text), text)
        gc.collect()  # the room, whose end is the end of the clock's thread

    def test_a_server_has_a_store_of_its_own(self) -> None:
        mode = {"class": "examples.todo:ToDo", "options": {"passwords": {"argon2": {"memory_kib": 64}}}}
        for _ in range(2):
            with serving(mode="todo", handlers={"todo": mode}) as port:
                client = Talker(self, connect(port, tls=False))
                client.register("Alice")
                client.say("/list")
                client.expect(Kind.TEXT, "nothing")
                client.connection.close()

    def test_the_quiz_is_asked_over_the_wire_too(self) -> None:
        with serving(mode="quiz", handlers={"quiz": {"class": "examples.quiz:Quiz"}}) as port:
            client = Talker(self, connect(port, tls=False))
            client.answer(Kind.ASK, "4")
            client.expect(Kind.TEXT, "Right!")
            client.answer(Kind.ASK, "paris")
            client.expect(Kind.TEXT, "Right!")
            client.expect(Kind.TEXT, "2 of 2")
            client.expect_end()
            client.connection.close()
