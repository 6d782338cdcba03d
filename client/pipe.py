"""The client in a pipe: lines in, replies out; no questions, no colour.

Each question takes the next line. A line that nobody asked for goes out once the server has spoken since the last
one, or after a moment of silence: so a script can be written without knowing the mode.
"""

import os
import select
import sys
import time
from collections import deque

from client.conversation import Conversation
from common.errors import ConnectionLost, ExitStatus, UsageError

_SILENCE = 0.3
_LAST_SILENCE = 1.0
# After an error a question mostly follows. A line sent between the two would be taken for its answer, and the
# next line for the secret after it.
_AFTER_ERROR = 0.1
_LONGEST_LINE = 67_108_864


class PipeScreen:
    longest: int | None = None  # whoever reads the pipe wants all of it

    def show(self, text: str) -> None:
        print(text, flush=True)

    def show_error(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Lines:
    """The lines of a descriptor, read when poll() says so."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.has_ended = False
        self._waiting: deque[bytes] = deque()
        self._rest = bytearray()
        self._given = 0

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def read(self) -> None:
        """Read what there is; raises UsageError for input without line breaks."""
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # closed, or a terminal that is gone
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
        elif len(self._rest) > _LONGEST_LINE:
            raise UsageError(f"line {self._given + len(self._waiting) + 1} of standard input is too long")

    def next(self) -> str:
        """The first of the waiting lines; raises UsageError if it is no text."""
        self._given += 1
        try:
            return self._waiting.popleft().decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"line {self._given} of standard input is not UTF-8: {error.reason}") from None


def converse(conversation: Conversation, lines: Lines) -> ExitStatus:
    """Carry the conversation to the end of the input or of the connection.

    Raises ConnectionLost if that comes before all lines are sent.
    """
    last_event = time.monotonic()
    while not conversation.has_ended:
        silence = time.monotonic() - last_event
        if lines.is_waiting:
            left = _patience(conversation) - silence
            if left <= 0:
                conversation.send(lines.next())
                last_event = time.monotonic()
                continue
        elif lines.has_ended:
            left = _LAST_SILENCE - silence
            if left <= 0:
                break
        else:
            left = None  # for as long as it takes
        if _wait(conversation, lines, left):
            last_event = time.monotonic()
    if lines.is_waiting and not conversation.last_was_error:
        raise ConnectionLost("the server closed it, and not all lines were sent")
    return conversation.status


def _patience(conversation: Conversation) -> float:
    """Seconds of silence before the next line may go."""
    if conversation.question is not None:
        return 0.0
    if not conversation.has_spoken:
        return _SILENCE
    return _AFTER_ERROR if conversation.last_was_error else 0.0


def _wait(conversation: Conversation, lines: Lines, seconds: float | None) -> bool:
    """Wait for the server, and for input if it is wanted; whether the server or the end of the input came."""
    wants_input = not lines.is_waiting and not lines.has_ended
    poller = select.poll()
    poller.register(conversation.connection, select.POLLIN)
    if wants_input:
        poller.register(lines.descriptor, select.POLLIN)
    if conversation.connection.has_waiting:
        seconds = 0
    ready = dict(poller.poll(None if seconds is None else seconds * 1000))
    if wants_input and lines.descriptor in ready:
        lines.read()
    if conversation.connection.fileno() in ready or conversation.connection.has_waiting:
        conversation.take_in()
        conversation.send_answers()
        return True
    return wants_input and lines.has_ended
