"""What the client makes of each message, and what it sends: the same on a terminal and in a pipe.

It knows nothing of terminals and pipes; whoever drives it shows what it says and gives it what the user types.
"""

from dataclasses import dataclass
from typing import Protocol

from client.tokens import Tokens
from common.errors import ConnectionLost, ExitStatus
from common.kinds import FROM_SERVER, Kind, compose, parse
from common.sockets import MessageMixin
from common.visible import visible


@dataclass(frozen=True)
class Question:
    prompt: str
    is_secret: bool


class Screen(Protocol):
    """Where the server's words go; they have passed the filter."""

    def show(self, text: str) -> None: ...
    def show_error(self, text: str) -> None: ...


class Conversation:
    """`question` is what the server waits for; `has_spoken` tells whether it said anything since we last did."""

    def __init__(self, connection: MessageMixin, tokens: Tokens, screen: Screen, secret: str | None = None) -> None:
        """`secret`, if given, answers every secret question."""
        self.connection = connection
        self.secret = secret
        self.question: Question | None = None
        self.has_spoken = False
        self.last_was_error = False
        self._tokens = tokens
        self._screen = screen
        self._has_ever_spoken = False
        self._was_let_in = False
        self._was_refused = False

    @property
    def has_ended(self) -> bool:
        return self.connection.has_ended

    def receive_waiting(self) -> None:
        """Take in what has come; raises what the socket raises, and UnexpectedKind.

        An end before the first word is a ConnectionLost too.
        """
        for message in self.connection.receive_waiting():
            self._receive(message)
        if self.has_ended and not self._has_ever_spoken:
            raise ConnectionLost("the server closed it without a word")

    def send(self, line: str) -> None:
        """Send what the user typed: the answer to the question, if there is one."""
        self.question = None
        self.has_spoken = False
        try:
            self._send(Kind.TEXT, line)
        except ConnectionLost:
            self.receive_waiting()  # the server may have said why
            raise

    def close(self) -> None:
        self.connection.finish(linger=0)

    @property
    def status(self) -> ExitStatus:
        """What the conversation came to, as far as it went."""
        if self._was_refused:
            return ExitStatus.NOT_PERMITTED
        if self.has_ended and self.last_was_error:
            return ExitStatus.UNAVAILABLE
        return ExitStatus.DONE

    def _send(self, kind: Kind, text: str) -> None:
        self.connection.send_message(compose(kind, text))
        self.connection.flush()

    def _receive(self, message: str) -> None:
        kind, text = parse(message, FROM_SERVER)
        if kind is Kind.GET_TOKEN:
            self._send(Kind.TOKEN, self._tokens.get())
            return
        if kind is Kind.SET_TOKEN:
            self._tokens.set(text)
            return
        self.has_spoken = self._has_ever_spoken = True
        last_was_error, self.last_was_error = self.last_was_error, kind is Kind.ERROR
        if kind is Kind.TEXT:
            self._was_let_in, self._was_refused = True, False
            self._screen.show(visible(text, keep="\n\t"))
        elif kind is Kind.ERROR:
            self._screen.show_error(visible(text, keep="\n\t"))
        else:
            # An error that is followed by another question was a refusal; one that is not may be anything.
            self._was_refused = self._was_refused or (last_was_error and not self._was_let_in)
            self._ask(Question(visible(text), is_secret=kind is Kind.SECRET))

    def _ask(self, question: Question) -> None:
        self.question = question
        if question.is_secret and self.secret is not None:
            self.send(self.secret)
