"""The examples, as docs/handlers.md says that modes are tested: by a script, or by a real server."""

import gc
import os
import re
import shutil
import subprocess
import sys
import unittest

from common import PROJECT_ROOT
from common.wire.kinds import Kind
from examples.clock import Clock
from examples.quiz import Quiz
from examples.word_count import WordCount
from server.handlers.room import Room
from server.testing import serving, talk
from tests.support import PATIENCE, QUICK_HASHES, PorterTestCase, Talker, connect


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

    def test_a_bot_answers_in_the_chat_so_that_all_hear_it(self) -> None:
        mode = {"class": "examples.bot:BotChat", "options": QUICK_HASHES}
        with serving(mode="bot", handlers={"bot": mode}) as port:
            alice, bob = (Talker(self, connect(port, tls=False)) for _ in range(2))
            for talker, name in ((alice, "Alice"), (bob, "Bob")):
                talker.register(name)
            while alice.expect(Kind.TEXT) != "* Bob is here":
                pass
            alice.say("Bot, who?")
            for talker in (alice, bob):
                while talker.expect(Kind.TEXT) != "Alice: Bot, who?":
                    pass
                talker.expect(Kind.TEXT, "bot: 2 are here")
                talker.connection.close()

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


class NoticeBoard(PorterTestCase):
    tls = True

    def test_a_reload_keeps_the_readers(self) -> None:
        mode = {"class": "examples.notices:NoticeBoard", "options": QUICK_HASHES}
        with self.server("notices", handlers={"notices": mode}) as server:
            reader = server.talk()
            reader.register("Alice")
            reader.expect(Kind.TEXT, "no notices")
            server.service.apply(self.configuration(mode="notices", handlers={"notices": mode}))
            writer = server.talk()
            writer.register("Bob")
            writer.expect(Kind.TEXT, "no notices")
            writer.say("the lift is repaired")
            for talker in (reader, writer):
                talker.expect(Kind.TEXT, "Bob: the lift is repaired")

    def test_a_script_posts_and_all_who_are_connected_hear_it(self) -> None:
        mode = {"class": "examples.notices:NoticeBoard", "options": QUICK_HASHES}
        with self.server("notices", handlers={"notices": mode}) as server:
            reader = server.talk()
            reader.register("Alice")
            reader.expect(Kind.TEXT, "no notices")
            writer = server.talk()
            writer.register("Bob", "battery staple")
            script, password = (
                str(PROJECT_ROOT / "examples/post_notice.py"),
                self.write("password", "battery staple\n"),
            )
            for name, shown, errors, status in (
                ("Bob", "Bob: the lift is repaired\n", "", 0),
                ("Alice", "", "wrong name or password\n", 1),
            ):
                command = [sys.executable, script, str(server.port), name, str(password), "the lift is repaired"]
                environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
                ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
                self.assertEqual((shown, errors, status), (ran.stdout, ran.stderr, ran.returncode))
            reader.expect(Kind.TEXT, "Bob: the lift is repaired")
            later = server.talk()
            later.log_in("alice")
            later.expect(Kind.TEXT, "Bob: the lift is repaired")


TEXTS = ["hello", "\u017c\u00f3\u0142\u0107", "x" * 50_000, ""]


class InOtherLanguages(PorterTestCase):
    def check(self, *command: str) -> None:
        with serving(mode="echo") as port:
            ran = subprocess.run([*command, str(port), *TEXTS], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((0, "".join(f"{text}\n" for text in TEXTS), ""), (ran.returncode, ran.stdout, ran.stderr))

    @unittest.skipUnless(shutil.which("node"), "there is no Node here")
    def test_the_client_in_node_gets_its_echo(self) -> None:
        self.check("node", str(PROJECT_ROOT / "examples/client.js"))

    @unittest.skipUnless(shutil.which("cc"), "there is no C compiler here")
    def test_the_client_in_c_gets_its_echo(self) -> None:
        program = str(self.folder / "client")
        source = str(PROJECT_ROOT / "examples/client.c")
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True, timeout=PATIENCE)
        self.check(program)
