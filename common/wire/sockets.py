"""The socket with messages: how text is sent and received. The one with TLS (tls.py) adds TLS and nothing else.

A message is a str here and a frame on the wire (framing.py). The socket knows deadlines, a size limit and a flag
that stops it (waiting.py); it knows nothing of kinds, handlers, or which side it is on.
"""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from common.errors import ConnectionLost, DeadlineExceeded, MessageStalled, PorterError, Stopping
from common.wire.deadline import Deadline
from common.wire.framing import encode, lacking, refuse_breach, sole_text, split
from common.wire.stopflag import StopFlag
from common.wire.waiting import LARGEST_CHUNK, SILENT, WaitingSocket

DEFAULT_MAX_MESSAGE = 65536
# What a connection may hold of others' bytes before it serves them; a longer message is read as it comes.
_CHUNK = 16384
_SMALLEST_CHUNK = 2048
# Messages at a time: as texts they take ten times the bytes that came, if they are short.
_MOST_AT_ONCE = 64
_LONGEST_GATHERED = 1024
_STALLED = "a message was not complete after {:g} seconds"


class Journal(Protocol):
    """Whoever wants to know of the messages; it reads the counts of the connection."""

    def look(self, connection: "MessageSocket") -> None: ...
    def close(self, connection: "MessageSocket") -> None: ...


class _Nothing(PorterError):
    """Nothing to read just now."""


class MessageSocket(WaitingSocket):
    """A socket.socket with `send_message` and `receive_message`. The owner may set these at any time, and `timeouts`:

    `max_message` is the longest message accepted, in bytes of body. `overall` bounds everything until it is set to
    None (a login). `journal` is shown each message while `is_followed`. `peer` and `plan` are for the owner alone.
    """

    __slots__ = (
        *("max_message", "overall", "journal", "is_followed", "opened_at", "peer", "plan"),
        *("messages_received", "bytes_received", "messages_sent", "bytes_sent"),
        *("_rest", "_ready", "_last", "_outgoing", "_message_deadline", "_heard_stop", "_is_last"),
    )

    max_message: int
    overall: Deadline | None
    journal: Journal | None
    is_followed: bool
    peer: str
    plan: Any
    opened_at: float
    messages_received: int
    bytes_received: int
    messages_sent: int
    bytes_sent: int
    _rest: bytearray  # what is not looked at yet, the start of a message, or not one that may be
    _ready: list[str]  # the last is the next: an empty deque would take ten times as much of a silent connection
    _last: tuple[list[str], bytes] | None  # the messages that came in one read, with their frames
    _outgoing: list[str]
    _message_deadline: Deadline | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_message = DEFAULT_MAX_MESSAGE
        self.peer = ""
        self.overall = self.journal = self.plan = None
        self.is_followed = self._heard_stop = self._is_last = False
        self.opened_at = time.monotonic()
        self.messages_received = self.bytes_received = self.messages_sent = self.bytes_sent = 0
        self._rest = bytearray()
        self._ready = []
        self._outgoing = []
        self._last = self._message_deadline = None

    def send_message(self, text: str) -> None:
        """Send `text`, at once unless a whole message is already waiting to be received.

        In that case the answers of a burst leave together, before the next wait at the latest: five times the
        messages at a depth of 16. Raises ConnectionLost, and NotText for what cannot be UTF-8.
        """
        is_gathered = self._ready and len(text) <= _LONGEST_GATHERED and len(self._outgoing) < _MOST_AT_ONCE
        if is_gathered or self._outgoing or self._last is not None:
            if not text.isascii():
                encode(text)  # what is no text fails here, and not with all the others
            self._outgoing.append(text)
            if not is_gathered:
                self.flush()
        else:
            frame = encode(text)
            self._send_all(frame)
            self.messages_sent += 1
            self.bytes_sent += len(frame)
            if self.is_followed:
                self._show_journal()

    def receive_message(self) -> str | None:
        """The next message, or None when the peer has closed after the last one.

        Raises a ProtocolError for a breach, DeadlineExceeded when nothing comes, Stopping when the stop flag is
        set and all that had come is received, ConnectionLost otherwise.
        """
        if self._interruption is not None:
            raise self._interruption
        if self.overall is not None:
            self.overall.remaining()  # who sends everything ahead never makes us wait
        if self._ready:
            return self._ready.pop()
        return self._receive_more()

    @property
    def has_waiting(self) -> bool:
        """Whether a whole message is here, so that `receive_message` does not wait."""
        return bool(self._ready)

    def receive_waiting(self) -> Iterator[str]:
        """The whole messages that have come, without waiting, for a caller with an event loop of its own.

        One read: what is left makes the socket readable again, but for what has come with a handshake
        (`has_waiting`). Raises what `receive_message` raises, after the messages that came before it.
        """
        with contextlib.suppress(_Nothing):
            self._take_in(self._retry(partial(self._read_now, LARGEST_CHUNK), select.POLLIN, Deadline(0, _Nothing)))
        while self._make_ready():
            yield self._ready.pop()
        self._heed_end()

    def flush(self) -> None:
        """Send what `send_message` has gathered."""
        texts = self._outgoing
        if not texts:
            return
        self._outgoing = []
        count = len(texts)
        # An echo goes out as it came in: to encode it again would take longer than all else that is done here.
        last, self._last = self._last, None
        data = last[1] if last is not None and last[0] == texts else b"".join(map(encode, texts))
        del last
        texts.clear()  # who does not read must not have us keep two copies
        self._send_all(data)
        self.messages_sent += count
        self.bytes_sent += len(data)
        if self.is_followed:
            self._show_journal()

    def finish(self, linger: float) -> None:
        """End our side, then close; never raises, and may be called again.

        What the peer still sends is read and dropped for up to `linger` seconds or 1 MiB: closing a socket with
        unread input resets the connection, and the reset can overtake our last message.
        """
        if self.fileno() >= 0:
            with contextlib.suppress(OSError, ValueError, PorterError):
                self.flush()
                self._say_goodbye()
            if not self.has_ended:  # else closing says it all, and there is nothing to drop
                with contextlib.suppress(OSError, PorterError):
                    socket.socket.shutdown(self, socket.SHUT_WR)
                    self._drop_input(linger)
            if self.journal is not None:
                self.journal.close(self)
        self.close()

    def _receive_more(self) -> str | None:
        """Wait until there is a message; None if the peer has closed after the last one."""
        if self._outgoing:
            self.flush()
        self._last = None  # who waits keeps nothing
        # The usual case in one piece, since calls are half of what a message costs: no part of one is here, nobody
        # is in a hurry, and then a short one comes and no more.
        if not self._rest and self.overall is None and (data := self._wait_and_read()) is not None:
            text = None if self._takes_much else sole_text(data, self.max_message)
            if text is not None and self._interruption is None:
                self.messages_received += 1
                self.bytes_received += len(data)
                if self.is_followed:
                    self._show_journal()
                return text
            self._take_in(data)
        while not self._make_ready():
            if self._heed_end():
                return None
            self._take_in(self._receive_rest() if self._has_begun() else self._receive_first())
        self._message_deadline = None
        return self._ready.pop()

    def _next_chunk(self, head: bytes) -> int:
        # A large message alone, and not the next one, which would have to be kept meanwhile.
        return min(max(len(head) + lacking(head), _CHUNK), LARGEST_CHUNK)

    def _has_begun(self) -> bool:
        """Whether a part of a message is here."""
        return bool(self._rest)

    def _make_ready(self) -> bool:
        """Whether there is a message, without waiting; raises what is wrong with the next, if it is no message."""
        if not self._ready:
            self._last = None
            refuse_breach(self._rest, self.max_message)
            if not lacking(self._rest):
                self._split(self._all_of_the_rest())
        return bool(self._ready)

    def _take_in(self, data: bytes) -> None:
        """Make messages of what has come; a breach is left in the rest, behind the messages that came before it."""
        if self._interruption is not None:
            raise self._interruption
        if not data:
            if self._has_ended_input:
                raise Stopping
            self.has_ended = True
            return
        if self._rest:
            self._rest += data
            if lacking(self._rest):
                return
            data = self._all_of_the_rest()
        self._split(data)

    def _all_of_the_rest(self) -> bytes:
        data = bytes(self._rest)
        self._rest.clear()
        return data

    def _split(self, data: bytes) -> None:
        texts, end = split(data, self.max_message, _MOST_AT_ONCE)
        if end < len(data):
            self._rest += data[end:]
            if not texts:
                return
            data = data[:end]
        self._ready[:0] = reversed(texts)
        self._last = (texts, data)
        self.messages_received += len(texts)
        self.bytes_received += len(data)
        if self.is_followed:
            self._show_journal()

    def _say_goodbye(self) -> None:
        """What is sent between the last message and the end of the stream: nothing, without TLS."""

    def _show_journal(self) -> None:
        if self.journal is not None:
            self.journal.look(self)

    def _receive_first(self) -> bytes:
        """Wait for the first bytes of a message; none if the peer has ended."""
        deadline = Deadline(self.timeouts.idle, DeadlineExceeded, SILENT)
        if self.stop is not None and self.stop.is_set:
            # What had come before the stop is still answered, but only one chunk of it, and then the message that
            # it ends in: a client that never pauses must not hold the stop up.
            if self._heard_stop:
                raise Stopping
            self._heard_stop = True
        return self._receive(self._chunk, deadline, self.stop)

    def _receive_rest(self) -> bytes:
        """Wait for more bytes of a message that has begun."""
        if self._message_deadline is None:
            if self.stop is not None and self.stop.is_set:
                if self._is_last:
                    raise Stopping
                self._is_last = True
            self._message_deadline = Deadline(self.timeouts.message, MessageStalled, _STALLED)
        deadline = self._message_deadline.or_earlier(self.overall)
        missing = min(lacking(self._rest), LARGEST_CHUNK)
        self._await_bytes(missing, deadline)
        return self._receive(max(missing, self._chunk), deadline, None)

    @property
    def _chunk(self) -> int:
        """How much to take in at a time: of those whose messages must be short, little."""
        return min(_CHUNK, max(self.max_message, _SMALLEST_CHUNK))

    def _receive(self, size: int, deadline: Deadline, stop: StopFlag | None) -> bytes:
        return self._retry(partial(self._read_now, size), select.POLLIN, deadline.or_earlier(self.overall), stop)

    def _heed_end(self) -> bool:
        """Whether the peer has closed its side; raises ConnectionLost if that was inside a message."""
        if self.has_ended and self._rest:
            raise ConnectionLost("the peer ended it inside a message")
        return self.has_ended
