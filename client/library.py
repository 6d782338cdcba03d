"""The client for programs: connect, log in, send, wait for an answer, hear what is pushed.

    with Client(Endpoint("127.0.0.1", 9090)) as client:
        client.log_in("Alice", "correct horse")
        print(client.ask("hello"))

It knows no terminal. A server on this machine is trusted at first sight, another one by a pin, or by what is kept.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from client.connection import connect
from client.state import State, open_state
from client.tokens import Tokens
from client.trust import Endpoint, Policy, Trust
from common.errors import NotPermitted, PeerClosed, TrustError
from common.wire.kinds import FROM_SERVER, Kind, compose, parse

LOG = logging.getLogger("porter.client")
_MAX_MESSAGE = 1_048_576  # bytes


@dataclass(frozen=True)
class Access:
    """How to reach and trust a server, and whether to keep its certificate and its token as the command does."""

    tls: bool = True
    pin: str | None = None
    accept_new: bool = False
    keeps: bool = False


@dataclass(frozen=True)
class Message:
    """What the server has said: TEXT, ERROR, or a question (ASK, SECRET)."""

    kind: Kind
    text: str


class Client:
    """A connection. Only one thread may use it at a time. `with` closes it.

    All methods raise ConnectionLost if the connection is lost, PeerClosed if the server has ended it, and
    ProtocolError if it breaks the protocol.
    """

    def __init__(self, server: Endpoint, access: Access | None = None, timeout: float = 30.0) -> None:
        """Connect. `timeout` is how many seconds an answer may take.

        Raise Unavailable if no server can be reached, and TrustError if its certificate is not trusted.
        """
        access = access or Access()
        if not LOG.hasHandlers():
            LOG.addHandler(logging.NullHandler())  # a program that wants the log sets it up
        state = open_state(LOG.warning, saves=True) if access.keeps else State(None, LOG.warning)
        trust = Trust(state) if access.tls else None
        policy = Policy(access.pin, access.accept_new)
        self.timeout = timeout
        self._connection, self.peer = connect(server, _MAX_MESSAGE, trust, policy)
        self._tokens = Tokens(state, self.peer)
        self._question: Message | None = None  # what `resume` has met, and `log_in` will answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. A second call does nothing."""
        self._connection.finish(1.0)

    def resume(self) -> str | None:
        """Log in with the token that is kept for this server. Return the greeting, or None if there is none."""
        said = self.receive()
        if said.kind is Kind.TEXT:
            return said.text
        self._question = said
        return None

    def log_in(self, name: str, password: str) -> str:
        """Log in with name and password, or with the token that is kept. Return the greeting.

        Raise NotPermitted, with the server's text, if the server refuses, or asks for more than a name and a
        password; TrustError, and send nothing secret, if others could listen.
        """
        return self._converse(name, [password])

    def register(self, name: str, password: str) -> str:
        """Make a new account and be logged in. Return the greeting. Raise what `log_in` raises."""
        return self._converse(name, [password, password])

    def send(self, text: str) -> None:
        """Send a line of the user. Raise NotText if it cannot be UTF-8."""
        self._connection.send_message(compose(Kind.TEXT, text))

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for what the server says next. Raise DeadlineExceeded if nothing comes in `timeout` seconds."""
        question, self._question = self._question, None
        while question is None:
            said = self._next(self.timeout if timeout is None else timeout)
            if said.kind is Kind.SET_TOKEN:
                self._tokens.set(said.text)
            elif said.kind is Kind.GET_TOKEN:
                self._connection.send_message(compose(Kind.TOKEN, self._tokens.get()))
            else:
                return said
        return question

    def ask(self, text: str, timeout: float | None = None) -> str:
        """Send a line and return the text that comes next. Raise NotPermitted, with its text, for an ERROR."""
        self.send(text)
        said = self.receive(timeout)
        if said.kind is Kind.ERROR:
            raise NotPermitted("{text}", text=said.text)
        return said.text

    def __iter__(self) -> Iterator[Message]:
        """Yield what the server says, however long it is silent, until it ends the connection."""
        while True:
            try:
                yield self.receive(math.inf)
            except PeerClosed:
                return

    def _next(self, timeout: float) -> Message:
        self._connection.timeouts = replace(self._connection.timeouts, idle=timeout, message=timeout)
        message = self._connection.receive_message()
        if message is None:
            raise PeerClosed("the server has closed the connection")
        return Message(*parse(message, FROM_SERVER))

    def _converse(self, name: str, secrets: list[str]) -> str:
        """Answer the questions of a login, each once. Return the greeting."""
        names = [name]
        while (said := self.receive()).kind is not Kind.TEXT:
            if said.kind is Kind.SECRET and secrets:
                if not self.peer.is_private:
                    raise TrustError(
                        "without TLS others can listen: no password is sent to {peer}", peer=self.peer.server
                    )
                self.send(secrets.pop(0))
            elif said.kind is Kind.ASK and names:
                self.send(names.pop())
            else:
                raise NotPermitted("{text}", text=said.text)
        return said.text
