"""The work of a load generator: its parameters, and the bytes that are sent for it. This module knows no sockets."""

import random
import string
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum

from common.errors import PorterError
from common.wire.framing import encode
from common.wire.kinds import FROM_SERVER, Kind, compose, parse


class Kinds(StrEnum):
    """The kinds of work. The comment describes one operation."""

    MESSAGES = "messages"  # a message and its echo
    CONNECT = "connect"  # a connection, a message, its echo, the end
    LOGIN = "login"  # a connection, name and password, the greeting, the end
    RESUME = "resume"  # the same with a token
    CHAT = "chat"  # a line that somebody in the room has said, as one member hears it


@dataclass(frozen=True)
class Account:
    """The account for a server in auth mode."""

    name: str
    password: str


@dataclass(frozen=True)
class Work:
    """The parameters of a load.

    `rate` is messages a second of all connections together; None means as fast as possible. `size` is in bytes,
    `warmup` and `seconds` are in seconds.
    """

    host: str
    port: int
    kind: Kinds = Kinds.MESSAGES
    connections: int = 64
    depth: int = 1
    size: int = 64
    tls: bool = False
    account: Account | None = None
    rate: float | None = None
    warmup: float = 0.5
    seconds: float = 5.0

    @property
    def stays(self) -> bool:
        """Return whether each client keeps its connection."""
        return self.kind in (Kinds.MESSAGES, Kinds.CHAT)


class Refused(PorterError):
    """The server gave a wrong answer or refused the login."""


def bursts(work: Work, number: int) -> tuple[bytes, bytes]:
    """Return two different bursts for one connection, which sends them in turns: so a wrong answer is noticed."""
    made = []
    for turn in range(2):
        letters = random.Random(number * 2 + turn)  # not for security, only to make the texts different
        text = "".join(letters.choices(string.ascii_letters, k=work.size))
        made.append(encode(compose(Kind.TEXT, text) if work.account else text) * work.depth)
    return made[0], made[1]


def admission(account: Account, token: str = "") -> Generator[bytes, str, str]:
    """Run the conversation up to the greeting: take messages, yield the answers, and return the token for later.

    Raise Refused if the server refuses the login.
    """
    answer = b""
    while True:
        kind, text = parse((yield answer), FROM_SERVER)
        answer = b""
        if kind is Kind.GET_TOKEN:
            answer = encode(compose(Kind.TOKEN, token))
        elif kind is Kind.SET_TOKEN:
            token = text
        elif kind is Kind.ASK:
            answer = encode(compose(Kind.TEXT, account.name))
        elif kind is Kind.SECRET:
            answer = encode(compose(Kind.TEXT, account.password))
        elif kind is Kind.TEXT:
            return token
        else:
            raise Refused("{text}", text=text)
