"""What the client makes of each message, and what it sends: the same on a terminal and in a pipe.

It knows nothing of terminals and pipes; whoever drives it shows what it says and gives it what the user types.
The server may be hostile: what it says is filtered and bounded, and no secret goes where others can listen.
"""

from dataclasses import dataclass
from typing import Protocol

from client.tokens import Tokens
from client.trust import Peer
from common.errors import ConnectionLost, ExitStatus, ProtocolError, TrustError
from common.visible import visible
from common.wire.kinds import FROM_SERVER, Kind, compose, parse
from common.wire.sockets import MessageSocket

_LONGEST_PROMPT = 200  # prompt_toolkit takes seconds over longer ones, and who asks must stay on the screen
_MOST_ANSWERS = 16


@dataclass(frozen=True)
class Question:
    prompt: str
    is_secret: bool


class Screen(Protocol):
    """Where the server's words go; they have passed the filter. `longest` is how much of a message is shown."""

    longest: int | None

    def show(self, text: str) -> None: ...
    def show_error(self, text: str) -> None: ...


class Conversation:
    """`question` is what the server waits for; `has_spoken` tells whether it said anything since we last did."""

    def __init__(
        self, connection: MessageSocket, peer: Peer, tokens: Tokens, screen: Screen, secret: str | None = None
    ) -> None:
        """`secret`, if given, answers every secret question."""
        self.connection = connection
        self.secret = secret
        self.question: Question | None = None
        self.has_spoken = False
        self.last_was_error = False
        self._peer = peer
        self._tokens = tokens
        self._screen = screen
        self._answers: list[tuple[Kind, str]] = []
        self._new_token: str | None = None
        self._has_ever_spoken = False
        self._was_let_in = False
        self._was_refused = False

    @property
    def has_ended(self) -> bool:
        return self.connection.has_ended

    @property
    def has_answers(self) -> bool:
        """Whether `send_answers` has something to send."""
        return bool(self._answers)

    def take_in(self) -> None:
        """Take in what has come, and send nothing.

        Raises what the socket raises, UnexpectedKind, and TrustError for a question whose answer others could read.
        An end before the first word is a ConnectionLost too.
        """
        for message in self.connection.receive_waiting():
            self._receive(message)
        self._keep_token()
        if self.has_ended and not self._has_ever_spoken:
            raise ConnectionLost("the server closed it without a word")

    def send_answers(self) -> None:
        """Send what the server asked for and the user need not be asked: the token, the given secret."""
        answers, self._answers = self._answers, []
        for kind, text in answers:
            self._send(kind, text)

    def send(self, line: str) -> None:
        """Send what the user typed: the answer to the question, if there is one."""
        self.question = None
        self.has_spoken = False
        self._send(Kind.TEXT, line)

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
        try:
            self.connection.send_message(compose(kind, text))
            self.connection.flush()
        except ConnectionLost:
            self.take_in()  # the server may have said why
            raise

    def _receive(self, message: str) -> None:
        kind, text = parse(message, FROM_SERVER)
        if kind is Kind.GET_TOKEN:
            self._keep_token()
            self._answer(Kind.TOKEN, self._tokens.get())
            return
        if kind is Kind.SET_TOKEN:
            self._new_token = text
            return
        self.has_spoken = self._has_ever_spoken = True
        last_was_error, self.last_was_error = self.last_was_error, kind is Kind.ERROR
        if kind is Kind.TEXT:
            self._was_let_in, self._was_refused = True, False
            self._screen.show(self._shown(text))
        elif kind is Kind.ERROR:
            self._screen.show_error(self._shown(text))
        else:
            # An error that is followed by another question was a refusal; one that is not may be anything.
            self._was_refused = self._was_refused or (last_was_error and not self._was_let_in)
            self._ask(text, is_secret=kind is Kind.SECRET)

    def _keep_token(self) -> None:
        """The last of many, since each is a file written."""
        if self._new_token is not None:
            token, self._new_token = self._new_token, None
            self._tokens.set(token)

    def _shown(self, text: str) -> str:
        longest = self._screen.longest
        if longest is None or len(text) <= longest:
            return visible(text, keep="\n\t")
        shown = visible(text[:longest], keep="\n\t")
        return f"{shown}\n... and {len(text) - longest} more characters"

    def _ask(self, prompt: str, *, is_secret: bool) -> None:
        prompt = visible(prompt[:_LONGEST_PROMPT])[:_LONGEST_PROMPT]  # it may have grown
        if not is_secret:
            self.question = Question(prompt, is_secret)
            return
        if not self._peer.is_private:
            raise TrustError(f"{self._peer.server} asks for a secret without TLS, where others can listen: not sent")
        if self.secret is not None:
            self.question = None
            self.has_spoken = False
            self._answer(Kind.TEXT, self.secret)
        else:
            # Whatever the prompt says, as in "[sudo] password": it is this server that gets to know the secret.
            self.question = Question(f"[{self._peer.server}] {prompt}", is_secret)

    def _answer(self, kind: Kind, text: str) -> None:
        if len(self._answers) == _MOST_ANSWERS:
            raise ProtocolError("it asks and asks, and does not wait for an answer")
        self._answers.append((kind, text))
