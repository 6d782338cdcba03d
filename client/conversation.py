"""The client's side of a conversation: it handles each message of the server, and sends the answers.

It is the same on a terminal and in a pipe, and knows neither of them: its caller shows the texts and passes on the
lines that the user types. The server may be hostile: its texts are filtered and bounded, and a secret is never sent
where others can listen.
"""

from dataclasses import dataclass
from typing import Protocol

from client.line import Line, Message
from common.errors import ConnectionLost, ExitStatus, NotPermitted, ProtocolError, TrustError, Unavailable
from common.language import Language
from common.visible import visible
from common.wire.kinds import Kind

# Characters. prompt_toolkit takes seconds for much longer prompts, and the server's address must stay on the screen.
_MAX_PROMPT = 200
_MAX_GREETING = 40
_MAX_ANSWERS = 16  # at a time


@dataclass(frozen=True)
class Question:
    """A question of the server that the user must answer."""

    prompt: str
    is_secret: bool


class Screen(Protocol):
    """Shows the texts of the server, which are already filtered.

    `longest` is how many characters of a message are shown; None means all.
    """

    longest: int | None
    language: Language

    def show(self, text: str) -> None: ...
    def show_error(self, text: str) -> None: ...
    def trace(self, template: str, **values: object) -> None: ...


class Conversation:
    """A conversation with a server.

    `question` is the question that the server has asked, or None. `questions` is how many it has asked of the user.
    `has_asked` tells whether it has ever asked one. `has_spoken` tells whether it has said anything since our last
    message; a question that the client answers itself does not count. `has_ended_sending` tells whether `end_sending`
    was called. `unanswered` is how many lines were sent that nothing has answered. `greeting` is the first text after
    the server has asked who this is; it tells as whom.
    """

    def __init__(self, line: Line, screen: Screen, secret: str | None = None) -> None:
        """If `secret` is given, it answers every secret question."""
        self.line = line
        self.secret = secret
        self.question: Question | None = None
        self.has_spoken = False
        self.has_asked = False
        self.has_ended_sending = False
        self.questions = 0
        self.last_was_error = False
        self.unanswered = 0
        self.greeting = ""
        self._peer = line.peer
        self._screen = screen
        self._answers: list[Message] = []
        self._new_token: str | None = None
        self._has_ever_spoken = False
        self._was_let_in = False
        self._was_refused = False
        self._was_sent_away = False

    @property
    def has_credentials(self) -> bool:
        """Return whether the client can log in by itself, with a token or a given secret."""
        return self.secret is not None or bool(self.line.tokens.get())

    @property
    def has_ended(self) -> bool:
        """Return whether the server has closed the connection."""
        return self.line.has_ended

    @property
    def has_answers(self) -> bool:
        """Return whether `send_answers` has something to send."""
        return bool(self._answers)

    def take_in(self) -> None:
        """Handle the messages that have come. Send nothing.

        Raise what the socket raises, UnexpectedKind, and TrustError for a secret question without TLS. Raise
        ConnectionLost also if the server closes the connection before its first text.
        """
        for message in self.line.take_in():
            self._receive(message)
        self._keep_token()
        if self.has_ended and not self._has_ever_spoken and not self.has_ended_sending:
            raise ConnectionLost("the server closed the connection before it said anything")

    def send_answers(self) -> None:
        """Send the answers that need no user: the token, and the given secret."""
        answers, self._answers = self._answers, []
        if self.has_ended_sending:
            return  # the question came after our end, and gets no answer
        for answer in answers:
            self._send(answer)

    def send(self, line: str) -> None:
        """Send a line that the user typed. If there is a question, the line is the answer."""
        self.question = None
        self.has_spoken = False
        self.unanswered += 1
        self._send(Message(Kind.TEXT, line))

    def end_sending(self) -> None:
        """Tell the server that nothing more comes. What it still says can be taken in."""
        self.has_ended_sending = True
        try:
            self.line.end_sending()
        except ConnectionLost:
            self.take_in()  # the server may have sent the reason
            raise

    def result(self) -> ExitStatus:
        """Return the exit status of the conversation.

        If the server has ended it in the middle of a login, raise NotPermitted after refusals, Unavailable otherwise.
        """
        if self.has_ended and self.has_asked and not self._was_let_in:
            ended = "the server ended the connection before the login was complete"
            raise NotPermitted(ended) if self._was_refused else Unavailable(ended)
        if self._was_refused:
            return ExitStatus.NOT_PERMITTED
        if self.has_ended and self.last_was_error and not self.has_ended_sending:
            return ExitStatus.UNAVAILABLE
        return ExitStatus.DONE

    @property
    def may_come_back(self) -> bool:
        """Return whether the user wants to go on: nobody has refused the user, logged out, or ended our side."""
        return not (self._was_refused or self._was_sent_away or self.has_ended_sending)

    @property
    def was_lost(self) -> bool:
        """Return whether the server has ended the connection without being done.

        With an ERROR it has said why. An end of TLS without one is deliberate; without TLS nobody can tell.
        """
        return self.has_ended and self.may_come_back and (self.last_was_error or not self._peer.has_tls)

    def _send(self, message: Message) -> None:
        try:
            self._screen.trace("sent {kind}, {size} bytes", kind=message.kind.value, size=message.size)
            self.line.send_message(message)
        except ConnectionLost:
            self.take_in()  # the server may have sent the reason
            raise

    def _receive(self, message: Message) -> None:
        kind, text = message.kind, message.text
        self._screen.trace("received {kind}, {size} bytes", kind=kind.value, size=message.size)
        if kind is Kind.GET_TOKEN:
            self.has_asked = True
            self._keep_token()
            self._answer(Message(Kind.TOKEN, self.line.tokens.get()))
            return
        if kind is Kind.SET_TOKEN:
            self._new_token = text
            self._was_sent_away = not text
            return
        self.has_spoken = self._has_ever_spoken = True
        self.unanswered = max(0, self.unanswered - 1)
        last_was_error, self.last_was_error = self.last_was_error, kind is Kind.ERROR
        if kind is Kind.TEXT:
            if self.has_asked and not self._was_let_in:
                self.greeting = visible(text[:_MAX_GREETING])
            self._was_let_in, self._was_refused = True, False
            self._screen.show(self._filter(text))
        elif kind is Kind.ERROR:
            self._screen.show_error(self._filter(text))
        else:
            # An error before the next question was a refused login. Without a question it may be any error.
            self._was_refused = self._was_refused or (last_was_error and not self._was_let_in)
            self.has_asked = True
            self._ask(text, is_secret=kind is Kind.SECRET)

    def _keep_token(self) -> None:
        """Store the new token. Of several, only the last is stored, since each one costs writing a file."""
        if self._new_token is not None:
            token, self._new_token = self._new_token, None
            self.line.tokens.set(token)

    def _filter(self, text: str) -> str:
        longest = self._screen.longest
        if longest is None or len(text) <= longest:
            return visible(text, keep="\n\t")
        shown = visible(text[:longest], keep="\n\t")
        more = self._screen.language.text("... and {number} more characters", number=len(text) - longest)
        return f"{shown}\n{more}"

    def _ask(self, prompt: str, *, is_secret: bool) -> None:
        prompt = visible(prompt[:_MAX_PROMPT])[:_MAX_PROMPT]  # escaping may have made it longer
        if is_secret and not self._peer.is_private:
            raise TrustError(
                "{server} asks for a secret without TLS: others could read it, so it was not sent; connect with TLS",
                server=self._peer.server,
            )
        if is_secret and self.secret is not None:
            self.question = None
            self._answer(Message(Kind.TEXT, self.secret))
            return
        # A hostile prompt may say "[sudo] password": show which server gets the secret.
        self.question = Question(f"[{self._peer.server}] {prompt}" if is_secret else prompt, is_secret)
        self.questions += 1

    def _answer(self, answer: Message) -> None:
        if len(self._answers) == _MAX_ANSWERS:
            raise ProtocolError("the server asks again and again without waiting for an answer")
        self.has_spoken = False
        self._answers.append(answer)
