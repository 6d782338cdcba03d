"""Connections: answered in turns, conversed with in a thread, pushed to by others, interrupted, stopped, ended."""

import contextlib
import socket
import socketserver
import threading
import time
from typing import Any

from common.errors import ConnectionLost, NotText, SessionEnded
from common.wire.framing import encode
from common.wire.kinds import Kind, compose
from server.engine.plan import Plan
from server.engine.server import Server
from server.handlers.handler import Handler
from server.settings import Limits
from tests.support import PATIENCE, PorterTestCase, RunningServer, scaled, send_bytes, wait_until


class Member(Handler):
    """A mode of which the test knows all handlers. Each line is a command."""

    @classmethod
    def prepare(cls, options: Any, resources: Any) -> "list[Member]":
        return MEMBERS

    def setup(self) -> None:
        self.shared.append(self)

    def finish(self) -> None:
        self.shared.remove(self)

    def answer(self, text: str) -> None:
        match text.split():
            case ["ask"]:
                self.say(self.ask("well? ") + self.ask_secret("really? "))
            case ["large", count]:
                for _ in range(int(count)):
                    self.say("x" * 60_000)
            case ["end"]:
                self.say("bye")
                self.end()
            case ["ended"]:
                self.request.interrupt(SessionEnded("that was enough"))
            case _:
                self.say(text)


class Conversing(Member):
    def converse(self) -> None:
        while True:
            self.answer(self.hear())


class Opening(Member):
    """Asks once, then answers."""

    def converse(self) -> None:
        self.say(f"Hello, {self.ask('Name: ')}!")


MEMBERS: list[Member] = []
SAID = compose(Kind.TEXT, "")


class Behaviour:
    modes = ("Member", "Conversing")

    def serve(self: Any, name: str, **settings: Any) -> Any:
        return self.server("mine", handlers={"mine": {"class": f"{__name__}:{name}"}}, **settings)

    def member(self: Any, server: RunningServer) -> Any:
        """Connect another client. Return it with its handler."""
        before = len(MEMBERS)
        client = server.talk()
        wait_until(lambda: len(MEMBERS) > before, "its handler")
        return client, MEMBERS[-1]

    def test_the_answers_to_a_burst_leave_together(self: Any) -> None:
        with self.serve("Member") as server:
            client = server.talk()
            send_bytes(client.connection, b"".join(encode(compose(Kind.TEXT, text)) for text in "abc"))
            for text in "abc":
                client.expect(Kind.TEXT, text)
            server.log.wait_for("3 messages sent, ")

    def test_an_answer_that_takes_long_holds_no_earlier_answer_back(self: Any) -> None:
        with self.serve("Member") as server:
            client, _ = self.member(server)
            send_bytes(client.connection, encode("TEXT a") + encode("TEXT ask") + encode("TEXT b"))
            client.expect(Kind.TEXT, "a")
            client.expect(Kind.ASK)
            # What had come before the question counts as the answer, as everywhere.
            client.expect(Kind.SECRET)
            client.say("!")
            client.expect(Kind.TEXT, "b!")

    def test_a_question_inside_an_answer_takes_the_next_lines_and_answers_stay_in_order(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client = server.talk()
                for line in ("ask", "one", "two", "three", "four"):
                    client.say(line)
                client.expect(Kind.ASK, "well? ")
                client.expect(Kind.SECRET, "really? ")
                for text in ("onetwo", "three", "four"):
                    client.expect(Kind.TEXT, text)

    def test_what_an_opening_leaves_is_answered_in_order(self: Any) -> None:
        with self.serve("Opening") as server:
            client = server.talk()
            for line in ("Bob", *map(str, range(100))):
                client.say(line)
            client.expect(Kind.ASK)
            client.expect(Kind.TEXT, "Hello, Bob!")
            for number in range(100):
                client.expect(Kind.TEXT, str(number))
            self.assertNotIn("a thread", server.log.messages)

    def test_a_large_answer_waits_for_a_slow_reader_and_arrives_whole(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client, other = server.talk(), server.talk()
                client.say("large 200")
                other.say("quick")
                other.expect(Kind.TEXT, "quick")
                client.connection.max_message = 10**6
                for _ in range(200):
                    client.expect(Kind.TEXT, "x" * 60_000)

    def test_a_client_that_reads_no_answers_is_not_read_from_and_ended(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode, limits={"send_timeout": scaled(0.3)}) as server:
                client = server.talk()
                client.say("large 200")
                server.log.wait_for(f"did not take what was sent within {scaled(0.3):g} seconds")
                server.log.wait_for("client disconnected")
                client.connection.close()

    def test_an_interruption_ends_a_silent_connection_with_a_farewell(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client, member = self.member(server)
                member.request.interrupt(SessionEnded("your session was ended", reason="for a test"))
                client.expect(Kind.ERROR, "your session was ended")
                client.expect_end()
                server.log.wait_for("for a test")

    def test_an_interruption_ends_a_wait_inside_a_message(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client, member = self.member(server)
                send_bytes(client.connection, encode("TEXT hello")[:7])
                member.request.interrupt(SessionEnded("your session was ended"))
                client.expect(Kind.ERROR, "your session was ended")

    def test_an_interruption_comes_before_messages_that_wait(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client = server.talk()
                send_bytes(client.connection, encode("TEXT a") + encode("TEXT ended") + encode("TEXT b"))
                client.expect(Kind.TEXT, "a")
                client.expect(Kind.ERROR, "that was enough")
                client.expect_end()

    def test_a_handler_that_ends_the_connection_is_heard_to_its_last_word(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client = server.talk()
                client.say("end")
                client.expect(Kind.TEXT, "bye")
                client.expect_end()
                client.connection.close()
                wait_until(lambda: not MEMBERS, "the end of the handler")

    def test_a_client_that_has_ended_its_side_gets_every_answer(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client = server.talk()
                for number in range(100):
                    client.say(str(number))
                client.connection.end_sending()
                for number in range(100):
                    client.expect(Kind.TEXT, str(number))
                client.expect_end()

    def test_at_a_stop_what_has_come_is_answered_and_a_message_that_has_begun_is_finished(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client, _ = self.member(server)
                frame = encode("TEXT the last")
                send_bytes(client.connection, encode("TEXT a") + frame[:8])
                client.expect(Kind.TEXT, "a")
                draining = threading.Thread(target=server.service.drain)
                draining.start()
                send_bytes(client.connection, frame[8:])
                client.expect(Kind.TEXT, "the last")
                client.expect(Kind.ERROR, "the server is stopping")
                client.expect_end()
                client.connection.close()
                draining.join(PATIENCE)

    def test_a_client_that_never_pauses_does_not_delay_the_stop(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client = server.connect()
                client.socket.setblocking(True)
                frames = encode("TEXT " + "x" * 100) * 300

                def flood(client: Any = client, frames: bytes = frames) -> None:
                    with contextlib.suppress(ConnectionLost, OSError):
                        while True:
                            client.socket.sendall(frames if client.tls is None else client.tls.encipher(frames))

                def read(client: Any = client) -> None:
                    with contextlib.suppress(OSError):
                        while client.socket.recv(100_000):
                            pass

                threads = [threading.Thread(target=work) for work in (flood, read)]
                for thread in threads:
                    thread.start()
                server.log.wait_for("messages sent")
                start = time.monotonic()
                draining = threading.Thread(target=server.service.drain)
                draining.start()
                server.log.wait_for("client disconnected")
                self.assertLess(time.monotonic() - start, scaled(4))
                draining.join(PATIENCE)
                for thread in threads:
                    thread.join(PATIENCE)

    def test_texts_that_others_push_arrive_in_order_and_wake_nobody_else(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode) as server:
                client, member = self.member(server)
                for number in range(1000):
                    self.assertTrue(member.request.push(f"TEXT {number}"))
                for number in range(1000):
                    client.expect(Kind.TEXT, str(number))
                self.assertRaises(NotText, member.request.push, "\ud800")
                client.say("still here")
                client.expect(Kind.TEXT, "still here")

    def test_a_push_from_many_threads_loses_and_mixes_nothing(self: Any) -> None:
        with self.serve("Member") as server:
            client, member = self.member(server)

            def push(name: str) -> None:
                for number in range(300):
                    self.assertTrue(member.request.push(f"TEXT {name} {number} {'x' * 50}"))

            threads = [threading.Thread(target=push, args=[name]) for name in "abcd"]
            for thread in threads:
                thread.start()
            found: dict[str, list[int]] = {name: [] for name in "abcd"}
            for _ in range(1200):
                name, number, _ = client.expect(Kind.TEXT).split()
                found[name].append(int(number))
            self.assertEqual({name: list(range(300)) for name in "abcd"}, found)
            for thread in threads:
                thread.join(PATIENCE)

    def test_who_does_not_take_what_is_pushed_is_ended_and_a_push_tells_it(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode, limits={"max_unsent": 100_000}) as server:
                client, member = self.member(server)
                request = member.request
                start = time.monotonic()
                while request.push("TEXT " + "x" * 10_000):
                    self.assertLess(time.monotonic() - start, PATIENCE)
                server.log.wait_for("did not take 100000 bytes of what others sent")
                server.log.wait_for("client disconnected")
                self.assertFalse(request.push("TEXT more"))
                client.connection.close()

    def test_a_client_that_takes_pushed_texts_is_not_idle(self: Any) -> None:
        for mode in self.modes:
            with self.subTest(mode), self.serve(mode, limits={"idle_timeout": scaled(0.6)}) as server:
                client, member = self.member(server)
                until = time.monotonic() + scaled(1.5)
                pause = threading.Event()
                while time.monotonic() < until:
                    self.assertTrue(member.request.push("TEXT tick"))
                    client.expect(Kind.TEXT, "tick")
                    pause.wait(scaled(0.05))
                client.expect(Kind.ERROR, f"no message came for {scaled(0.6):g} seconds")


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_the_first_message_waits_for_no_delayed_acknowledgement(self) -> None:
        delays = []
        with self.server("echo") as server:
            for _ in range(5):  # the best of five: others may use the machine
                client = server.connect()  # with Nagle's algorithm, as sockets have it
                start = time.monotonic()
                client.send_message("hello")
                self.assertEqual("hello", client.receive_message())
                delays.append(time.monotonic() - start)
        self.assertLess(min(delays), 0.03, delays)  # Linux delays an acknowledgement by 40 ms


class Bare(socketserver.BaseRequestHandler):
    """A handler of the standard library's kind: it knows nothing of ours."""

    def handle(self) -> None:
        while data := self.request.recv(1000):
            self.request.sendall(data.upper())


class Library(PorterTestCase):
    def test_a_handler_of_the_standard_library_works_in_a_thread_of_its_own(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        server = Server(listener, Plan(Bare, Limits(), None, has_turns=False))
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            clients = [socket.create_connection(address, PATIENCE) for _ in range(20)]
            for client in clients:
                client.sendall(b"hello")
            for client in clients:
                self.assertEqual(b"HELLO", client.recv(100))
                client.close()
            self.assertTrue(server.connections.wait_until_none(PATIENCE))
        finally:
            server.stop_listening()
            server.shutdown()
            serving.join(PATIENCE)
            server.server_close()
