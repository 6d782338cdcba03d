"""What the attacks share: somebody who tries one password from an address of their own, as quickly as can be."""

from collections.abc import Iterator
from typing import Protocol

from common.errors import ConnectionEnded
from common.wire.kinds import Kind
from server.identity.logins import WRONG
from tests.support import PorterTestCase, Talker


class Target(Protocol):
    def talk(self, source: str = ...) -> Talker: ...


def sources(count: int) -> Iterator[str]:
    """So many addresses of attackers."""
    return (f"127.66.{number // 250}.{number % 250 + 1}" for number in range(count))


def guess(server: Target, source: str, name: str, password: str) -> bool:
    """Whether this password lets one in; tries again when the server is busy. One connection, one guess."""
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
    """Send a password and be gone before the answer."""
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
    """Attacks run without TLS where it makes no difference: what is attacked lies behind it."""

    def looked_at(self, name: str) -> int:
        """How many passwords of this account were looked at, by the servers' log."""
        log = (self.folder / "server.log").read_text()
        return sum(f"{name} has another password" in line for line in log.splitlines())
