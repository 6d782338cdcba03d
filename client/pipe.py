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
from common.errors import ExitStatus, UsageError

_SILENCE = 0.3
_LAST_SILENCE = 1.0
# After an error a question mostly follows. A line sent between the two would be taken for its answer, and the
# next line for the secret after it.
_AFTER_ERROR = 0.1
_LONGEST_LINE = 67_108_864


class PipeScreen:
    def show(self, text: str) -> None:
        print(text, flush=True)

    def show_error(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Lines:
    """The lines of a descriptor, read when poll() says so."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.waiting: deque[str] = deque()
        self.has_ended = False
        self._rest = b""
        self._count = 0

    def read(self) -> None:
        """Read what there is; raises UsageError for what is no text, or has no line breaks."""
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # closed, or a terminal that is gone
            data = b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise UsageError(f"line {self._count + len(lines) + 1} of standard input is too long")
        if not data:
            self.has_ended = True
            if self._rest:
                lines.append(self._rest)
        for line in lines:
            self._count += 1
            try:
                self.waiting.append(line.decode())
            except UnicodeDecodeError as error:
                raise UsageError(f"line {self._count} of standard input is not UTF-8: {error.reason}") from None


def converse(conversation: Conversation, lines: Lines) -> ExitStatus:
    """Carry the conversation to the end of the input or of the connection."""
    last_event = time.monotonic()
    while not conversation.has_ended:
        silence = time.monotonic() - last_event
        if lines.waiting:
            left = _patience(conversation) - silence
            if left <= 0:
                conversation.send(lines.waiting.popleft())
                last_event = time.monotonic()
                continue
        elif lines.has_ended:
            left = _LAST_SILENCE - silence
            if left <= 0:
                break
        else:
            left = None  # for as long as it takes
        is_event = _wait(conversation, lines, left)
        if is_event:
            last_event = time.monotonic()
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
    wants_input = not lines.waiting and not lines.has_ended
    poller = select.poll()
    poller.register(conversation.connection, select.POLLIN)
    if wants_input:
        poller.register(lines.descriptor, select.POLLIN)
    ready = dict(poller.poll(None if seconds is None else seconds * 1000))
    if wants_input and lines.descriptor in ready:
        lines.read()
    if conversation.connection.fileno() in ready:
        conversation.receive_waiting()
        return True
    return wants_input and lines.has_ended
