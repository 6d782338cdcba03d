"""The conversation by a script, and two players at once on a real server."""

import contextlib
import socket
import unittest

from common.wire.framing import encode
from exercises import package, tried
from server.testing import serving, talk

ASK = "ASK Your guess: "


class Guess(unittest.TestCase):
    def test_the_server_says_more_or_less_until_the_guess_is_right(self) -> None:
        said = talk(tried("guess").Guess, "50", "25", "42", number=42)
        self.assertEqual([ASK, "TEXT less", ASK, "TEXT more", ASK, "TEXT right, after 3 guesses"], said)
        self.assertEqual([ASK, "TEXT right, after 1 guess"], talk(tried("guess").Guess, "7", number=7))

    def test_what_is_no_number_is_an_error_and_no_guess(self) -> None:
        said = talk(tried("guess").Guess, "many", "", "0", "101", "-5", "²", "9" * 5000, "42")
        self.assertEqual(7, sum(text.startswith("ERROR ") for text in said))
        self.assertEqual("TEXT right, after 1 guess", said[-1])

    def test_two_players_do_not_disturb_each_other(self) -> None:
        mode = {"guess": {"class": f"{package()}.guess:Guess", "options": {"number": 50}}}
        with serving(mode="guess", handlers=mode) as port, contextlib.ExitStack() as stack:
            players = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(2)]
            for guess in ("10", "50"):
                for player in players:
                    player.sendall(encode(f"TEXT {guess}"))
            wanted = b"".join(map(encode, (ASK, "TEXT more", ASK, "TEXT right, after 2 guesses")))
            for player in players:
                with player.makefile("rb") as answers:
                    self.assertEqual(wanted, answers.read())
