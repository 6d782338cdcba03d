"""The client in a pipe: it sends lines and prints replies, without questions and colours. It knows no terminal.

Each question takes the next line. Other lines are sent once the server has answered the last line, or after a moment
of silence; the end of the input likewise, which ends the client's side. So the author of a script need not know the
mode of the server.
"""

import math
import os
import select
import sys
import time
from collections import deque
from dataclasses import dataclass

from client.conversation import Conversation, Question
from common.errors import ConnectionLost, ExitStatus, NotPermitted, Unavailable, UsageError
from common.language import ENGLISH, Language
from common.wire.deadline import poll_milliseconds

_SILENCE = 0.3  # seconds without an answer before the next line is sent
_FIRST_WORD = 3.0  # seconds for the first word of a server that is likely to ask for the token or the password
# Seconds. After an error, a question usually follows. A line sent between them would be the answer to the question,
# and the next line would be the answer to the secret question after it.
_AFTER_ERROR = 0.1
_MAX_LINE = 67_108_864  # bytes
_NO_MORE_INPUT = "the server asks {prompt!r}, and the input has ended"


class PipeScreen:
    """Prints texts on standard output and errors on standard error."""

    longest: int | None = None  # the reader of the pipe gets the whole text

    def __init__(self, *, is_verbose: bool = False, language: Language = ENGLISH) -> None:
        self.language = language
        self._is_verbose = is_verbose

    def show(self, text: str) -> None:
        print(text, flush=True)

    def show_error(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def trace(self, template: str, **values: object) -> None:
        if self._is_verbose:
            print(f"porter: {self.language.text(template, **values)}", file=sys.stderr, flush=True)


class Lines:
    """The lines of a descriptor. The caller polls the descriptor and then calls `read`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.has_ended = False
        self._waiting: deque[bytes] = deque()
        self._rest = bytearray()
        self._given = 0

    @property
    def is_waiting(self) -> bool:
        """Return whether `next` has a line."""
        return bool(self._waiting)

    def read(self) -> None:
        """Read the bytes that are there. Raise UsageError if a line is too long."""
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # the descriptor is closed, or the terminal is gone
            data = b""
        self._rest += data
        if b"\n" in data:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._waiting += lines
            self._rest = bytearray(rest)
        if not data:
            self.has_ended = True
            if self._rest:
                self._waiting.append(bytes(self._rest))
        elif len(self._rest) > _MAX_LINE:
            line = self._given + len(self._waiting) + 1
            raise UsageError("line {line} of standard input is longer than {limit} bytes", line=line, limit=_MAX_LINE)

    def next(self) -> str:
        """Return the first waiting line. Raise UsageError if it is not UTF-8."""
        self._given += 1
        try:
            return self._waiting.popleft().decode()
        except UnicodeDecodeError as error:
            raise UsageError(
                "line {line} of standard input is not UTF-8: {reason}", line=self._given, reason=error.reason
            ) from None


@dataclass(frozen=True)
class Patience:
    """How long a silent server is waited for after the end of the input, in seconds."""

    seconds: float = 30.0
    follows: bool = False
    """Whether our side stays open at the end of the input."""
    answers: bool = True
    """Whether a question takes a line. After a lost connection none does: the lines are meant for something else."""


def converse(conversation: Conversation, lines: Lines, patience: Patience = Patience()) -> ExitStatus:
    """Talk until the server ends the connection. Return the exit status.

    At the end of the input the client ends its own side, and shows whatever the server still says. Raise
    ConnectionLost if the connection ends before all lines are sent, NotPermitted if the server asks and the input has
    ended, and Unavailable if the server is silent for too long then.
    """
    last_event = time.monotonic()
    sent = 0
    crossed: Question | None = None  # a question that a line has crossed, if the server was silent since
    while not conversation.has_ended:
        silence = time.monotonic() - last_event
        left: float | None = None  # wait without a limit
        if lines.is_waiting:
            left = _delay(conversation) - silence
            if left <= 0:
                conversation.send(lines.next())
                sent += 1
                last_event = time.monotonic()
                continue
        elif lines.has_ended and not patience.follows:
            delay = _delay_of_end(conversation)
            if crossed is not None:  # if the line is no answer to it, the server goes on waiting
                delay = max(delay, _SILENCE)
            if silence >= delay:
                conversation.question = crossed or conversation.question
                conversation.end_sending()
                continue
            if silence >= patience.seconds:
                _raise_for_question(conversation, _NO_MORE_INPUT)
                raise Unavailable("the server has said nothing for {seconds:g} seconds", seconds=patience.seconds)
            left = min(delay, patience.seconds) - silence
        had_ended, asked = lines.has_ended, conversation.questions
        if _wait(conversation, lines, left):
            last_event = time.monotonic()
            if not patience.answers:
                _raise_for_question(conversation, "the server asks {prompt!r}, after the connection was lost")
            crossed = None
            if conversation.question is not None and asked < conversation.questions <= sent:
                # A line and the question crossed: the server takes the line.
                crossed, conversation.question = conversation.question, None
        elif lines.has_ended and not had_ended:
            last_event = time.monotonic()
    if lines.is_waiting and not conversation.last_was_error:
        raise ConnectionLost("the server closed the connection before all lines were sent")
    if lines.has_ended:
        _raise_for_question(conversation, _NO_MORE_INPUT)
    return conversation.result()


def _raise_for_question(conversation: Conversation, template: str) -> None:
    """Raise NotPermitted, which quotes the question, if there is one."""
    if conversation.question is not None:
        raise NotPermitted(template, prompt=conversation.question.prompt.strip())


def _delay_of_end(conversation: Conversation) -> float:
    """Return how many seconds of silence must pass before the client ends its own side, once.

    An answer of the client that is not yet answered keeps it open: the server may look at a password.
    """
    if conversation.has_ended_sending:
        return math.inf
    if conversation.has_spoken:
        return _AFTER_ERROR if conversation.last_was_error else 0.0
    if conversation.has_asked:
        return math.inf
    return _FIRST_WORD if conversation.has_credentials else _SILENCE


def _delay(conversation: Conversation) -> float:
    """Return how many seconds of silence must pass before the next line may be sent."""
    if conversation.question is not None:
        return 0.0
    if not conversation.has_spoken:
        return _SILENCE
    return _AFTER_ERROR if conversation.last_was_error else 0.0


def _wait(conversation: Conversation, lines: Lines, seconds: float | None) -> bool:
    """Wait for the server, and for input if no line waits. Return whether the server spoke."""
    wants_input = not lines.is_waiting and not lines.has_ended
    poller = select.poll()
    poller.register(conversation.line, select.POLLIN)
    if wants_input:
        poller.register(lines.descriptor, select.POLLIN)
    if conversation.line.has_waiting:
        seconds = 0
    ready = dict(poller.poll(poll_milliseconds(seconds)))
    if wants_input and lines.descriptor in ready:
        lines.read()
    if conversation.line.fileno() in ready or conversation.line.has_waiting:
        conversation.take_in()
        conversation.send_answers()
        return True
    return False
