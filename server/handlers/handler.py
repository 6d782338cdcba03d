"""The base class of all handlers, with the verbs of a conversation: say, ask, hear, ...

A handler knows nothing of TLS, limits, logging or shutdown. The server takes care of them; if they end the
conversation, a verb raises an exception that the handler need not catch.
"""

import logging
import socketserver
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, ClassVar, NoReturn

from common.addresses import canonical, format_peer
from common.errors import ConversationOver, DeadlineExceeded, PeerClosed, ProtocolError, UnexpectedKind
from common.wire.deadline import Deadline
from common.wire.kinds import FROM_CLIENT, Kind, compose, parse
from server.handlers.request import Request
from server.handlers.resources import Mode, Resources
from server.settings import Section

LOG = logging.getLogger("porter.server")
_MOST_EARLY_MESSAGES = 16


class Handler(socketserver.BaseRequestHandler):
    """The base class of all modes. A subclass implements `converse`, `answer` or both.

    `converse` is the opening, in a thread of its own: it may ask and wait. When it returns, the connection goes on
    with `answer`, or ends if the mode has none. A subclass declares its options in `Options`.
    """

    class Options(Section):
        """The handler's part of the configuration. It is checked at the start, and errors name file and line."""

    takes_passwords: ClassVar[bool] = False
    """Whether clients send passwords: such a mode must not serve other machines without TLS."""

    uses_store: ClassVar[bool] = False
    """Whether `prepare` opens the database."""

    converses: ClassVar[bool] = False
    """Whether the mode has `converse`; found out for each subclass."""

    answers: ClassVar[bool] = False
    """Whether the mode has `answer`; found out for each subclass."""

    request: Request

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.converses = cls.converse is not Handler.converse or cls.handle is not Handler.handle
        cls.answers = cls.answer is not Handler.answer or cls.received is not Handler.received

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        self.mode = mode
        self.options = mode.options
        self.shared = mode.shared
        self._early: list[str] = []
        # Not the library's `__init__`, which serves the whole connection: the engine calls the methods in time.
        self.request = request
        self.client_address = client_address
        self.server = server

    @cached_property
    def address(self) -> str:
        """Return the client's IP address; each address has one spelling only."""
        return canonical(self.client_address[0])

    @property
    def who(self) -> str | None:
        """Return the name of the client as the mode knows it, for the administrator, or None."""
        return None

    @cached_property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """Return the log for the administrator. Each line names the client."""
        return logging.LoggerAdapter(LOG, {"peer": format_peer(self.client_address)})

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> Any:
        """Return the object that all connections of this mode share, as `self.shared`.

        The server calls this once at the start and at each reload. Raise StoreUnavailable or another PorterError if
        the mode cannot be served.
        """

    def handle(self) -> None:
        """Hold the opening conversation; the engine calls this, in a thread of its own."""
        self.converse()
        while self.answers and self._early:  # lines that came before GET-TOKEN was answered
            self.answer(self._early.pop(0))

    def received(self, message: str) -> None:
        """Answer a message; the engine calls this for each one that comes outside a conversation."""
        self.answer(self._text_of(parse(message, FROM_CLIENT)))

    def converse(self) -> None:
        """Talk with one client, until it is known how to go on."""

    def answer(self, text: str) -> None:
        """Answer a line of the user. The calls for one connection come one after the other, in any thread."""

    # The verbs. Each raises the errors of the socket: PeerClosed, ConnectionLost, Stopping, ProtocolError, ...

    def say(self, text: str) -> None:
        """Show the user a text."""
        self._send(Kind.TEXT, text)

    def error(self, text: str) -> None:
        """Show the user an error."""
        self._send(Kind.ERROR, text)

    def ask(self, prompt: str) -> str:
        """Ask the user and return the answer. A line that came before the question counts as the answer, too."""
        self._send(Kind.ASK, prompt)
        return self.hear()

    def ask_secret(self, prompt: str) -> str:
        """Ask the user and return the answer. The client hides it while the user types."""
        self._send(Kind.SECRET, prompt)
        return self.hear()

    def hear(self) -> str:
        """Return the next line of the user. Raise UnexpectedKind if the client sends anything else."""
        if self._early:
            return self._early.pop(0)
        return self._text_of(self._receive())

    def recall_token(self) -> str:
        """Return the token that the client keeps for this server, "" if it has none. The user is not asked."""
        self._send(Kind.GET_TOKEN)
        while True:
            kind, text = self._receive()
            if kind is Kind.TOKEN:
                return text
            self._early.append(text)
            longest = self.request.max_message
            if len(self._early) > _MOST_EARLY_MESSAGES or sum(map(len, self._early)) > longest:
                raise ProtocolError(
                    "more than {messages} messages or {characters} characters came before the answer to GET-TOKEN",
                    messages=_MOST_EARLY_MESSAGES,
                    characters=longest,
                )

    def text(self, template: str, **values: object) -> str:
        """Return a text in the language of the clients, with its values, as in text("{count} words", count=3)."""
        return self.mode.language.text(template, **values)

    def push(self, text: str) -> bool:
        """Show the user a text, from any thread, without waiting. Return whether the connection has taken it."""
        return self.request.push(compose(Kind.TEXT, text))

    @cached_property
    def ending(self) -> dict[object, Callable[[], object]]:
        """Return what is called when the connection has ended, in whatever way, by a key to take it out again."""
        return {}

    def finish(self) -> None:
        """Do what must be done at the end, the last thing first. Whoever overrides this calls it, too."""
        with ExitStack() as stack:  # one that fails stops none of the others
            for call in list(vars(self).get("ending", {}).values()):
                stack.callback(call)

    def store_token(self, token: str) -> None:
        """Tell the client to keep `token` for this server. An empty token makes it forget the one it has."""
        self._send(Kind.SET_TOKEN, token)

    def end(self) -> NoReturn:
        """End the connection. What was said before is sent still."""
        raise ConversationOver

    @contextmanager
    def before_login(self) -> Iterator[None]:
        """Apply the limits for a client that is not logged in to the code inside.

        Messages are short, and the code must end within `login_timeout` seconds after the connection was opened.
        """
        limits = self.mode.limits
        request = self.request
        request.overall = Deadline(
            limits.login_timeout,
            DeadlineExceeded,
            "the login was not complete after {seconds:g} seconds",
            request.opened_at,
        )
        full_size = request.max_message
        request.max_message = min(full_size, limits.max_message_before_login)
        yield  # no try: an error ends the connection, so nothing must be restored
        request.overall = None
        request.max_message = full_size

    def _text_of(self, message: tuple[Kind, str]) -> str:
        kind, text = message
        if kind is not Kind.TEXT:
            raise UnexpectedKind("the client sent {kind} that nobody asked for", kind=kind.value)
        return text

    def _send(self, kind: Kind, text: str = "") -> None:
        self.request.send_message(compose(kind, text))

    def _receive(self) -> tuple[Kind, str]:
        message = self.request.receive_message()
        if message is None:
            raise PeerClosed("the client closed the connection")
        return parse(message, FROM_CLIENT)
