"""The verbs of a conversation: what a handler is written in.

A handler knows nothing of TLS, limits, logging or shutdown. Those happen around it, and reach it as an exception
that it need not catch.
"""

import logging
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from common.addresses import canonical, show
from common.errors import DeadlineExceeded, PeerClosed, ProtocolError, UnexpectedKind
from common.wire.deadline import Deadline
from common.wire.kinds import FROM_CLIENT, Kind, compose, parse
from common.wire.sockets import MessageSocket
from server.handlers.resources import Resources
from server.settings import Limits, Section

LOG = logging.getLogger("porter.server")
_MOST_EARLY_MESSAGES = 16


@dataclass(frozen=True)
class Mode:
    """A handler as the configuration chose it: shared by all its connections."""

    name: str
    options: Any
    limits: Limits
    shared: Any


class Handler(socketserver.BaseRequestHandler):
    """The base of all modes. A subclass writes `converse`, and declares its options, if any, in `Options`."""

    class Options(Section):
        """The handler's part of the configuration; checked at the start, with file and line."""

    takes_passwords: ClassVar[bool] = False
    """Whether passwords cross the wire: such a mode must not be served without TLS to other machines."""

    uses_store: ClassVar[bool] = False
    """Whether `prepare` opens the database."""

    request: MessageSocket

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        self.mode = mode
        self.options = mode.options
        self.shared = mode.shared
        self._early: list[str] = []
        super().__init__(request, client_address, server)

    @cached_property
    def address(self) -> str:
        """The client's, one spelling for one client."""
        return canonical(self.client_address[0])

    @cached_property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """For what an administrator should know; each line names the client."""
        return logging.LoggerAdapter(LOG, {"peer": show(self.client_address)})

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> Any:
        """Make what all connections of this mode share; called once at the start and at a reload.

        The result is `self.shared`. Raises StoreUnavailable and the like if the mode cannot be had.
        """

    def handle(self) -> None:
        self.converse()

    def converse(self) -> None:
        """Talk with one client; the connection ends when this returns."""
        raise NotImplementedError(f"{type(self).__name__} has no method converse")

    # The verbs. All raise what the socket raises: PeerClosed, ConnectionLost, Stopping, ProtocolError, ...

    def say(self, text: str) -> None:
        self._send(Kind.TEXT, text)

    def error(self, text: str) -> None:
        self._send(Kind.ERROR, text)

    def ask(self, prompt: str) -> str:
        """Ask the user, who sees what is typed; an earlier line that nothing has asked for is an answer too."""
        self._send(Kind.ASK, prompt)
        return self.hear()

    def ask_secret(self, prompt: str) -> str:
        """Ask the user, who does not see what is typed."""
        self._send(Kind.SECRET, prompt)
        return self.hear()

    def hear(self) -> str:
        """The next line of the user's own."""
        if self._early:
            return self._early.pop(0)
        kind, text = self._receive()
        if kind is not Kind.TEXT:
            raise UnexpectedKind(f"a {kind.value} that nobody asked for")
        return text

    def recall_token(self) -> str:
        """The token that the client keeps for this server, empty if none; the user is not asked."""
        self._send(Kind.GET_TOKEN)
        while True:
            kind, text = self._receive()
            if kind is Kind.TOKEN:
                return text
            self._early.append(text)
            longest = self.request.max_message
            if len(self._early) > _MOST_EARLY_MESSAGES or sum(map(len, self._early)) > longest:
                bound = f"{_MOST_EARLY_MESSAGES} messages or {longest} characters"
                raise ProtocolError(f"more than {bound} before the answer to GET-TOKEN")

    def store_token(self, token: str) -> None:
        """Have the client keep `token` for this server; an empty one makes it forget."""
        self._send(Kind.SET_TOKEN, token)

    @contextmanager
    def login(self) -> Iterator[None]:
        """Inside, the limits of those who have not said who they are: short messages, `login_timeout` in all."""
        limits = self.mode.limits
        request = self.request
        request.overall = Deadline(
            limits.login_timeout, DeadlineExceeded, "not logged in within {:g} seconds", request.opened_at
        )
        full_size = request.max_message
        request.max_message = min(full_size, limits.max_message_before_login)
        yield  # an error ends the connection, so there is nothing to put back
        request.overall = None
        request.max_message = full_size

    def _send(self, kind: Kind, text: str = "") -> None:
        self.request.send_message(compose(kind, text))
        self.request.flush()  # what is said is heard now, whatever the handler does next

    def _receive(self) -> tuple[Kind, str]:
        message = self.request.receive_message()
        if message is None:
            raise PeerClosed("the client closed the connection")
        return parse(message, FROM_CLIENT)
