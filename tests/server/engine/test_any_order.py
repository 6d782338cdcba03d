"""Whole connections by chance: lines, questions, pushes and cuts in any order, in pieces of any size."""

import contextlib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from common.wire.framing import encode
from common.wire.kinds import Kind, compose
from server.handlers.handler import Handler
from tests.support import PATIENCE, PorterTestCase, RunningServer, Talker, wait_until

QUIETLY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
LINES = some.lists(some.sampled_from(["ask", "a", "b" * 300, "\u017c" * 2000, "d" * 20_000]), max_size=60)
SIZES = some.lists(some.sampled_from([1, 3, 7, 100, 4096, 30_000]), min_size=1, max_size=5)


class Mixed(Handler):
    """Answers each line with itself; a line `ask` with a question, whose answer is the next line."""

    def setup(self) -> None:
        MEMBERS.append(self)

    def finish(self) -> None:
        MEMBERS.remove(self)

    def answer(self, text: str) -> None:
        self.say(f"so {self.ask('what? ')}" if text == "ask" else text)


class Opening(Mixed):
    """The same, after a first question."""

    def converse(self) -> None:
        self.say(f"Hello {self.ask('who? ')}")


class Talking(Mixed):
    """The same, all in a conversation."""

    def converse(self) -> None:
        while True:
            self.answer(self.hear())


MEMBERS: list[Mixed] = []
MODES = {"Mixed": "", "Opening": "who? ", "Talking": ""}


def expected(first: str, lines: list[str]) -> list[str]:
    """Return what the server says to these lines."""
    left = iter(lines)
    said = []
    if first:
        said.append(compose(Kind.ASK, first))
        if (name := next(left, None)) is None:
            return said
        said.append(compose(Kind.TEXT, f"Hello {name}"))
    for line in left:
        if line != "ask":
            said.append(compose(Kind.TEXT, line))
            continue
        said.append(compose(Kind.ASK, "what? "))
        if (answer := next(left, None)) is None:
            break
        said.append(compose(Kind.TEXT, f"so {answer}"))
    return said


class Behaviour:
    def wire(self: Any, talker: Talker, lines: list[str]) -> bytes:
        """Return the bytes of lines as they go on the wire."""
        clear = b"".join(encode(compose(Kind.TEXT, line)) for line in lines)
        tls = talker.connection.tls
        return clear if tls is None else tls.encipher(clear)

    def send(self: Any, talker: Talker, wire: bytes, sizes: list[int], push: Any = None) -> None:
        """Send bytes in pieces of the given sizes, in turns, and call `push` after each round of them."""
        talker.connection.socket.settimeout(PATIENCE)
        start = 0
        while start < len(wire):
            for size in sizes:
                talker.connection.socket.sendall(wire[start : start + size])
                start += size
            if push is not None:
                push()

    def received(self: Any, talker: Talker) -> list[str]:
        """Return all messages until the server has ended."""
        found = []
        while (message := talker.connection.receive_message()) is not None:
            found.append(message)
        return found

    @QUIETLY
    @given(lines=LINES, sizes=SIZES)
    def answered(self: Any, server: RunningServer, first: str, lines: list[str], sizes: list[int]) -> None:
        """Send lines while others push. Check what comes back."""
        talker = server.talk()
        wait_until(lambda: len(MEMBERS) == 1, "its handler")
        (member,) = MEMBERS
        taken: list[str] = []

        def push() -> None:
            text = compose(Kind.TEXT, f"pushed {len(taken)}")
            if len(taken) < 50 and member.request.push(text):
                taken.append(text)

        self.send(talker, self.wire(talker, lines), sizes, push)
        talker.connection.end_sending()
        found = self.received(talker)
        self.assertEqual(expected(first, lines), [text for text in found if "pushed" not in text])
        self.assertEqual(taken, [text for text in found if "pushed" in text])
        talker.connection.close()
        wait_until(lambda: not MEMBERS, "the end")

    def test_answers_come_in_order_and_pushes_are_neither_lost_nor_doubled(self: Any) -> None:
        for mode, first in MODES.items():
            with self.subTest(mode), self.server("mine", handlers=_handlers(mode)) as server:
                self.answered(server, first)

    @QUIETLY
    @given(lines=LINES, sizes=SIZES, part=some.floats(0, 1))
    def cut(self: Any, server: RunningServer, lines: list[str], sizes: list[int], part: float) -> None:
        """Send a part of the lines, and vanish."""
        talker = server.talk()
        wire = self.wire(talker, lines)
        with contextlib.suppress(OSError):  # the server may have ended first
            self.send(talker, wire[: int(part * len(wire))], sizes)
        talker.connection.socket.close()
        wait_until(lambda: len(MEMBERS) == 1, "the end")

    def test_a_cut_anywhere_ends_the_connection_and_nothing_else(self: Any) -> None:
        for mode in MODES:
            with self.subTest(mode), self.server("mine", handlers=_handlers(mode)) as server:
                other = server.talk()
                self.cut(server)
                other.say("a")
                other.next()
                self.assertFalse([line for line in server.log.messages if "failed" in line])


def _handlers(mode: str) -> Any:
    return {"mine": {"class": f"{__name__}:{mode}"}}


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True
