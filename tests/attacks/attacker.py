"""Shared parts of the attacks: a client that tries one password from its own address, as fast as it can."""

from collections.abc import Iterator
from typing import Protocol

from common.errors import ConnectionEnded
from common.wire.kinds import Kind
from server.identity.logins import WRONG
from tests.support import PorterTestCase, Talker


class Target(Protocol):
    def talk(self, source: str = ...) -> Talker: ...


def sources(count: int) -> Iterator[str]:
    """Return an iterator over `count` addresses of attackers."""
    return (f"127.66.{number // 250}.{number % 250 + 1}" for number in range(count))


def guess(server: Target, source: str, name: str, password: str) -> bool:
    """Return whether this password logs in; try again while the server is busy. One connection makes one guess."""
    client = server.talk(source)
    try:
        client.give_token()
        while True:
            client.answer(Kind.ASK, name)
            client.answer(Kind.SECRET, password)
            kind, said = client.next()
            if kind is Kind.SET_TOKEN:
                return True
            if said == WRONG:
                return False
            assert "busy" in said, said
    finally:
        client.connection.close()


def break_off(server: Target, source: str, name: str, password: str) -> None:
    """Send a password and close the connection before the answer."""
    client = server.talk(source)
    try:
        client.give_token()
        client.answer(Kind.ASK, name)
        client.answer(Kind.SECRET, password)
    except ConnectionEnded:
        pass
    finally:
        client.connection.close()


class AttackCase(PorterTestCase):
    """A test of an attack. It runs without TLS where TLS makes no difference: the attacked code lies behind it."""

    def count_checks(self, name: str) -> int:
        """Return how many passwords of this account the servers checked, according to their log."""
        log = (self.folder / "server.log").read_text()
        return sum(f"{name} has another password" in line for line in log.splitlines())
