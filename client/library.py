"""The client for programs: connect, log in, send, wait for an answer, hear what is pushed, come back.

    with Client(Endpoint("127.0.0.1", 9090)) as client:
        client.log_in("Alice", "correct horse")
        print(client.ask("hello"))

The command is built on it. It knows no terminal.
"""

import logging
import math
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from client.connection import connect
from client.line import Line, Message
from client.state import State, open_state
from client.tokens import Tokens
from client.trust import Endpoint, Peer, Policy, Trust
from common.errors import ConnectionEnded, NotPermitted, PeerClosed, TrustError, Unavailable
from common.wire.kinds import Kind
from common.wire.sockets import MessageSocket

LOG = logging.getLogger("porter.client")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds


@dataclass(frozen=True)
class Access:
    """How to reach and trust a server, and whether to keep its certificate and its token as the command does.

    With `ca`, a file, the certificate must be signed by one in it and name the host. Otherwise it must be the one
    that is kept, or `pin`. One that is seen for the first time is taken from this machine, with `accept_new` from
    any, and else if `confirm` says so. Without TLS no secret is sent to another machine. `max_message` is in bytes.
    """

    tls: bool = True
    pin: str | None = None
    accept_new: bool = False
    ca: Path | None = None
    confirm: Callable[[str, str], bool] | None = None
    keeps: bool = False
    max_message: int = 1_048_576


class Client(Line):
    """A connection for a program. Only one thread may use it at a time. `with` closes it.

    All methods raise ConnectionLost if the connection is lost, PeerClosed if the server has ended it, and
    ProtocolError if it breaks the protocol.
    """

    def __init__(
        self, server: Endpoint, access: Access = Access(), timeout: float = 30.0, state: State | None = None
    ) -> None:
        """Connect. `timeout` is how many seconds an answer may take.

        `state` is where certificates and tokens are kept, instead of where `access` says. Raise Unavailable if no
        server can be reached, and TrustError if its certificate is not trusted.
        """
        if not LOG.hasHandlers():
            LOG.addHandler(logging.NullHandler())  # a program that wants the log sets it up
        if state is None:
            state = open_state(_warn, saves=True) if access.keeps else State(None, _warn)
        self.server = server
        self.access = access
        self.timeout = timeout
        self._state = state
        self._pause = _FIRST_PAUSE
        self._question: Message | None = None  # what `resume` has met, and `log_in` will answer
        connection, peer = self._connect()
        super().__init__(connection, peer, Tokens(state, peer))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def reconnect(self) -> None:
        """Connect again, however long that takes, and be as after `Client(...)`: `resume` or `log_in` comes next.

        Before each try, wait for a random part of 0.5 s, which doubles up to 30 s until the server lets the client
        in ("full jitter", AWS Architecture Blog 2015): clients that were lost together do not come back together.
        Raise TrustError if the certificate has changed.
        """
        self.close(linger=0)
        if self.was_let_in:
            self._pause = _FIRST_PAUSE
        while True:
            time.sleep(self._pause * secrets.randbelow(1_000_000) / 1_000_000)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            try:
                connection, peer = self._connect()
            except (Unavailable, ConnectionEnded) as error:
                LOG.info("not connected again: %s", error, extra={"peer": str(self.server)})
            else:
                super().__init__(connection, peer, Tokens(self._state, peer))
                self._question = None
                return

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

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for what the server says next. Raise DeadlineExceeded if nothing comes in `timeout` seconds."""
        question, self._question = self._question, None
        while question is None:
            said = self.next(self.timeout if timeout is None else timeout)
            if said.kind is Kind.SET_TOKEN:
                self.tokens.set(said.text)
            elif said.kind is Kind.GET_TOKEN:
                self.send_message(Message(Kind.TOKEN, self.tokens.get()))
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

    def _connect(self) -> tuple[MessageSocket, Peer]:
        access = self.access
        trust = Trust(self._state) if access.tls else None
        policy = Policy(access.pin, access.accept_new, access.confirm, access.ca)
        return connect(self.server, access.max_message, trust, policy)

    def _converse(self, name: str, passwords: list[str]) -> str:
        """Answer the questions of a login, each once. Return the greeting."""
        names = [name]
        while (said := self.receive()).kind is not Kind.TEXT:
            if said.kind is Kind.SECRET and passwords:
                if not self.peer.is_private:
                    raise TrustError(
                        "without TLS others can listen: no password is sent to {peer}", peer=self.peer.server
                    )
                self.send(passwords.pop(0))
            elif said.kind is Kind.ASK and names:
                self.send(names.pop())
            else:
                raise NotPermitted("{text}", text=said.text)
        return said.text


def _warn(error: Unavailable) -> None:
    LOG.warning("%s; what would be kept there is forgotten", error)
