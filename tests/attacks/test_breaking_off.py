"""Guesses that break off: each counts, none is hashed, and nobody else hears that the server is busy."""

import socket
from unittest import mock

from common.wire.kinds import Kind
from server.identity.passwords import Passwords
from tests.support import QUICK_HASHES, PorterTestCase, Talker, at_once, wait_until

GUESSES = 50


class BreakingOff(PorterTestCase):
    def guess_and_vanish(self, client: Talker) -> None:
        client.give_token()
        client.answer(Kind.ASK, "Alice")
        client.expect(Kind.SECRET)
        client.say("a wrong one")
        client.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.connection.close()

    def test_fifty_guesses_that_break_off_make_no_other_login_busy(self) -> None:
        verify = Passwords.verify
        hashed: list[str] = []

        def count_and_verify(passwords: Passwords, password: str, stored: str | None) -> tuple[bool, str | None]:
            hashed.append(password)
            return verify(passwords, password, stored)

        with self.server("auth", handlers={"auth": {"options": QUICK_HASHES}}) as server:
            server.talk("127.0.0.2").register("Alice")
            with mock.patch.object(Passwords, "verify", count_and_verify):
                at_once(*[lambda: self.guess_and_vanish(server.talk()) for _ in range(GUESSES)])
                self.assertTrue(server.talk("127.0.0.2").log_in("Alice"))
            wait_until(lambda: server.service.connections <= 2, "the end of the guesses")
            # A few had their turn before they broke off; the others are found to be gone when it comes.
            self.assertLess(hashed.count("a wrong one"), GUESSES / 2)
            self.assertNotIn("busy", "".join(line for line in server.log.messages if "127.0.0.2" in line))
