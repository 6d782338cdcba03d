"""The clock of these tests goes when they say so."""

import gc
import random
import types
import unittest
from collections.abc import Iterator

from exercises import tried

CODE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


def texts_in(kept: object) -> Iterator[str]:
    """Yield every text that an object holds, itself or in other objects."""
    seen: set[int] = set()
    left = [kept]
    while left:
        each = left.pop()
        if id(each) not in seen and not isinstance(each, CODE):
            seen.add(id(each))
            left += [*gc.get_referents(each), *(each if isinstance(each, dict) else ())]  # it omits a dict's keys
            if isinstance(each, (str, bytes)):
                yield each if isinstance(each, str) else each.decode("latin-1")


class Sessions(unittest.TestCase):
    def setUp(self) -> None:
        self.time = 1000.0
        self.sessions = tried("sessions").Sessions(lambda: self.time)

    def test_a_token_finds_its_user(self) -> None:
        tokens = {name: self.sessions.open(name) for name in ("Alice", "Bob")}
        for name, token in tokens.items():
            self.assertEqual(name, self.sessions.find(token))
        for unknown in ("", "token-1", tokens["Bob"][:-1]):
            self.assertIsNone(self.sessions.find(unknown))

    def test_a_session_ends_after_a_logout_and_after_an_hour(self) -> None:
        alice, bob = self.sessions.open("Alice"), self.sessions.open("Bob")
        self.sessions.end(alice)
        self.sessions.end(alice)
        self.assertIsNone(self.sessions.find(alice))
        self.time += 3599
        self.assertEqual("Bob", self.sessions.find(bob))
        self.time += 2
        self.assertIsNone(self.sessions.find(bob))

    def test_nobody_guesses_a_token(self) -> None:
        tokens = {self.sessions.open("Alice") for _ in range(1000)}
        self.assertEqual(1000, len(tokens))
        self.assertGreaterEqual(min(map(len, tokens)), 22, "128 random bits are 22 letters")
        starts = {token[:4] for token in tokens}
        self.assertGreater(len(starts), 900, "tokens that begin alike are counted or made of the time")
        for _ in range(2):
            random.seed(1)
            tokens.add(self.sessions.open("Alice"))
        self.assertEqual(1002, len(tokens), "who has seen some numbers of `random` knows all that follow")

    def test_what_the_server_keeps_is_no_token(self) -> None:
        token = self.sessions.open("Alice")
        for text in texts_in(self.sessions):
            self.assertNotIn(token, text)
