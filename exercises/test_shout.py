"""The mode runs on a real server, and the test is its client."""

import socket
import unittest

from common.wire.framing import encode
from exercises import package
from server.testing import serving


class Shout(unittest.TestCase):
    def test_messages_come_back_in_capital_letters_until_bye(self) -> None:
        mode = {"shout": {"class": f"{package()}.shout:Shout"}}
        with (
            serving(mode="shout", handlers=mode) as port,
            socket.create_connection(("127.0.0.1", port), 10) as client,
        ):
            for text in ("hello", "привет", "straße", "", "bye"):
                client.sendall(encode(text))
            wanted = b"".join(map(encode, ("HELLO", "ПРИВЕТ", "STRASSE", "", "BYE")))
            with client.makefile("rb") as answers:
                self.assertEqual(wanted, answers.read(len(wanted)))
                self.assertEqual(b"", answers.read(), "the server ends the connection after BYE")
