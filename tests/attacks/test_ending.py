"""Ending the sessions of a thief with a stolen token or password, in this process and in another one."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from common.errors import ConnectionLost
from common.wire.kinds import Kind
from tests.attacks.attacker import AttackCase, Target, guess
from tests.support import RunningServer, ServerProcess, Talker, scaled, send_bytes

ENDED = "your session was ended"
SOON = scaled(1.0)


class Behaviour:
    """The owner is logged in at a server in this process. Thieves use the owner's token there and at another."""

    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        tls = {"enabled": self.tls}
        self.here: RunningServer = self.enterContext(self.server("auth", tls=tls))
        self.there: ServerProcess = self.start_process(mode="auth", tls=tls)
        self.owner = self.here.talk("127.0.0.1")
        self.token = self.owner.register("Alice")

    def enter(self: Any, server: Target, token: str) -> Talker:
        client = server.talk("127.66.0.1")
        client.give_token(token)
        client.expect(Kind.TEXT, "Hello, Alice!")
        return client

    def let_in(self: Any, server: Target, token: str) -> bool:
        client = server.talk("127.66.0.2")
        client.give_token(token)
        return client.next()[0] is Kind.TEXT

    def ends_soon(self: Any, clients: list[Talker], action: Callable[[], None]) -> None:
        start = time.monotonic()
        action()
        acted = time.monotonic()
        for client in clients:
            client.expect(Kind.ERROR, ENDED)
            client.expect_end()
        self.assertLess(time.monotonic() - acted, SOON)
        self.assertLess(acted - start, 20)

    def still_in(self: Any, client: Talker) -> None:
        client.say("hello")
        client.expect(Kind.TEXT, "hello")

    def log_out(self: Any, client: Talker, command: str) -> None:
        client.say(command)
        client.expect(Kind.SET_TOKEN, "")
        client.expect(Kind.TEXT)

    def test_the_log_says_whose_session_was_ended(self: Any) -> None:
        thieves = [self.enter(server, self.token) for server in (self.here, self.there)]
        self.ends_soon([*thieves, self.owner], lambda: self.administer("logout", "alice"))
        self.here.log.wait_for("the session of Alice was ended", count=2)
        self.there.wait_for_log("the session of Alice was ended")

    def test_a_logout_ends_its_session_on_every_server_and_no_other_session(self: Any) -> None:
        thieves = [self.enter(server, self.token) for server in (self.here, self.there)]
        other = self.there.talk("127.0.0.1")
        other_token = other.log_in("alice")
        self.ends_soon(thieves, lambda: self.log_out(self.owner, "/logout"))
        self.still_in(other)
        self.assertFalse(self.let_in(self.there, self.token))
        self.assertTrue(self.let_in(self.here, other_token))

    def test_logout_all_ends_every_session(self: Any) -> None:
        clients = [self.enter(self.there, self.token), self.there.talk("127.0.0.1")]
        token = clients[1].log_in("alice")
        self.ends_soon(clients, lambda: self.log_out(self.owner, "/logout-all"))
        self.assertFalse(self.let_in(self.here, self.token) or self.let_in(self.there, token))

    def test_a_changed_password_ends_all_other_sessions(self: Any) -> None:
        clients = [self.enter(self.there, self.token), self.enter(self.here, self.token)]

        def change() -> None:
            self.owner.say("/password")
            for answer in ("correct horse", "another horse", "another horse"):
                self.owner.answer(Kind.SECRET, answer)
            self.new_token = self.owner.expect(Kind.SET_TOKEN)
            self.owner.expect(Kind.TEXT)

        self.ends_soon(clients, change)
        self.still_in(self.owner)
        self.assertEqual([False, True], [self.let_in(self.there, token) for token in (self.token, self.new_token)])
        self.assertFalse(guess(self.there, "127.0.0.1", "alice", "correct horse"))

    def test_the_administrators_commands_end_all_sessions(self: Any) -> None:
        for arguments, given in (
            (["logout", "alice"], ""),
            (["password", "alice"], "correct horse\n"),
            (["disable", "alice"], ""),
            (["remove", "alice", "--yes"], ""),
        ):
            with self.subTest(arguments[0]):
                clients = [self.here.talk("127.0.0.1"), self.there.talk("127.0.0.1")]
                tokens = [client.log_in("alice") for client in clients]
                self.ends_soon(clients, lambda: self.administer(*arguments, input=given))  # noqa: B023
                for token in tokens:
                    self.assertFalse(self.let_in(self.here, token))
                if arguments[0] == "disable":
                    self.assertFalse(guess(self.there, "127.0.0.1", "alice", "correct horse"))
                    self.administer("enable", "alice")

    def test_a_session_is_ended_even_during_a_password_change(self: Any) -> None:
        thief = self.enter(self.there, self.token)
        thief.say("/password")
        thief.answer(Kind.SECRET, "correct horse")
        thief.expect(Kind.SECRET)
        self.ends_soon([thief], lambda: self.log_out(self.owner, "/logout"))

    def test_a_client_that_floods_or_stops_inside_a_message_is_ended(self: Any) -> None:
        unfinished = self.enter(self.there, self.token)
        send_bytes(unfinished.connection, b"\0\0")
        flooding = self.enter(self.there, self.token)
        for _ in range(50):
            flooding.say("more")
        self.log_out(self.owner, "/logout")
        unfinished.expect(Kind.ERROR, ENDED)
        # A reset may overtake the farewell, because this client goes on sending to a closed connection.
        with contextlib.suppress(ConnectionLost):
            while (said := flooding.next()) == (Kind.TEXT, "more"):
                flooding.say("more")
            self.assertEqual((Kind.ERROR, ENDED), said)

    def test_a_session_replaced_by_a_newer_one_keeps_its_connection(self: Any) -> None:
        for _ in range(5):
            guess(self.there, "127.0.0.1", "alice", "correct horse")
        self.assertFalse(self.let_in(self.here, self.token))
        self.log_out(self.enter_anew(), "/logout")  # a revocation that the watchers see
        self.there.wait_for_log("Alice logged out")
        self.still_in(self.owner)

    def enter_anew(self: Any) -> Talker:
        client: Talker = self.there.talk("127.0.0.1")
        client.log_in("alice")
        return client


class Plain(Behaviour, AttackCase):
    pass


class Secure(Behaviour, AttackCase):
    tls = True
