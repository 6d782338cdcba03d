"""What is to be done to a server, and what is said for it: plain data and the bytes of the protocol, no sockets."""

import random
import string
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum

from common.errors import PorterError
from common.wire.framing import encode
from common.wire.kinds import FROM_SERVER, Kind, compose, parse


class Kinds(StrEnum):
    """What one operation is."""

    MESSAGES = "messages"  # a message and its echo
    CONNECT = "connect"  # a connection, a message, its echo, the end
    LOGIN = "login"  # a connection, name and password, the greeting, the end
    RESUME = "resume"  # the same with a token


@dataclass(frozen=True)
class Account:
    name: str
    password: str


@dataclass(frozen=True)
class Work:
    """`rate` is of all connections together, None for as fast as it goes; times are in seconds."""

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


class Refused(PorterError):
    """The server did not do what it was asked."""


def bursts(work: Work, number: int) -> tuple[bytes, bytes]:
    """Two different bursts for one connection, in turns, so that no answer can pass for another's."""
    made = []
    for turn in range(2):
        letters = random.Random(number * 2 + turn)  # only to tell them apart
        text = "".join(letters.choices(string.ascii_letters, k=work.size))
        made.append(encode(compose(Kind.TEXT, text) if work.account else text) * work.depth)
    return made[0], made[1]


def admission(account: Account, token: str = "") -> Generator[bytes, str, str]:
    """The conversation up to the greeting: gives answers for what is said; the token to come back with in the end.

    Raises Refused if the server does not let us in.
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
            raise Refused(text)
