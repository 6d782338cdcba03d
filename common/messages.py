"""Sending and receiving text messages: what the plain socket (sockets.py) and the one with TLS (tls.py) share.

A message is a str here and a frame on the wire (framing.py). The sockets know deadlines, a size limit and a flag
that stops them; they know nothing of kinds, handlers, or which side they are on.

Each socket is touched by one thread only: two threads on one SSLSocket corrupt it (openssl#20446, cpython#151508).
The exception is `interrupt`, which works below TLS.
"""

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol, Self

from common.deadline import Deadline
from common.errors import (
    ConnectionLost,
    DeadlineExceeded,
    MessageStalled,
    PorterError,
    Stopping,
)
from common.framing import HEADER, encode, lacking, refuse_breach, split
from common.stopflag import StopFlag
from common.waiting import Timeouts, WaitingMixin

DEFAULT_MAX_MESSAGE = 65536
# What a connection may hold of others' bytes before it serves them; a longer message is read as it comes.
_CHUNK = 16384
LARGEST_CHUNK = 65536 + HEADER.size  # the longest message there is by default, in one read
_MOST_GATHERED = 64
_LONGEST_GATHERED = 1024
_STALLED = "a message was not complete after {:g} seconds"
SILENT = "no message for {:g} seconds"


class Journal(Protocol):
    """Whoever wants to know of the messages; it reads the counts of the connection."""

    def look(self, connection: "MessageMixin") -> None: ...
    def close(self, connection: "MessageMixin") -> None: ...


_NO_TIMEOUTS = Timeouts()


class _Nothing(PorterError):
    """Nothing to read just now."""


STATE = (
    *(
        "timeouts",
        "max_message",
        "overall",
        "stop",
        "journal",
        "is_followed",
        "has_ended",
        "opened_at",
        "peer",
        "plan",
    ),
    *("messages_received", "bytes_received", "messages_sent", "bytes_sent"),
    *("_rest", "_ready", "_last", "_outgoing", "_interruption", "_message_deadline"),
    *("_heard_stop", "_has_ended_input", "_is_mute"),
)
"""The slots of both classes: on a subclass of a socket an attribute in a slot is found three times as fast."""


class MessageMixin(WaitingMixin):
    """What both sockets share. Usable as it is; the owner may set the attributes below at any time.

    `max_message` is the longest message accepted, in bytes of body. `overall` bounds everything until it is set to
    None (a login), `stop` ends a wait between two messages with Stopping. `journal` is shown each message while
    `is_followed`. `has_ended` tells whether the peer has closed its side. `peer` and `plan` are for the owner alone.
    """

    __slots__ = ()

    max_message: int
    overall: Deadline | None
    stop: StopFlag | None
    journal: Journal | None
    is_followed: bool
    peer: str
    plan: Any
    opened_at: float
    messages_received: int
    bytes_received: int
    messages_sent: int
    bytes_sent: int
    _rest: bytearray  # of a message that is not whole, or not one that may be
    _ready: deque[str]
    _last: tuple[list[str], bytes] | None  # the messages that came in one read, with their frames
    _outgoing: list[str]
    _message_deadline: Deadline | None
    _heard_stop: bool

    # wrap_socket makes an SSLSocket without calling any __init__ of ours, so the state is made here.
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls, *args, **kwargs)
        self.timeouts = _NO_TIMEOUTS
        self.max_message = DEFAULT_MAX_MESSAGE
        self.peer = ""
        self.overall = self.stop = self.journal = self.plan = None
        self.is_followed = self.has_ended = False
        self.opened_at = time.monotonic()
        self.messages_received = self.bytes_received = self.messages_sent = self.bytes_sent = 0
        self._rest = bytearray()
        self._ready = deque()
        self._outgoing = []
        self._last = self._interruption = self._message_deadline = None
        self._heard_stop = self._has_ended_input = self._is_mute = False
        return self

    def send_message(self, text: str) -> None:
        """Send `text`, at once unless a whole message is already waiting to be received.

        In that case the answers of a burst leave together, before the next wait at the latest: five times the
        messages at a depth of 16. Raises ConnectionLost, and NotText for what cannot be UTF-8.
        """
        if self._ready and len(text) <= _LONGEST_GATHERED and len(self._outgoing) < _MOST_GATHERED:
            if not text.isascii():
                encode(text)  # what is no text fails here, and not with all the others
            self._outgoing.append(text)
        elif self._outgoing or self._last is not None:
            self._outgoing.append(text)
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
            return self._ready.popleft()
        return self._receive_more()

    def receive_waiting(self) -> Iterator[str]:
        """The whole messages that have come, without waiting, for a caller with an event loop of its own.

        One read: what is left makes the socket readable again. Raises what `receive_message` raises, after the
        messages that came before it.
        """
        try:
            data = self._retry(partial(self._read_now, LARGEST_CHUNK), select.POLLIN, Deadline(0, _Nothing))
        except _Nothing:
            return
        self._take_in(data)
        while self._ready:
            yield self._ready.popleft()
        self._last = None
        refuse_breach(self._rest, self.max_message)
        if not data:
            self._end()

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
        while not self._ready:
            if self.has_ended:
                return None
            if self._outgoing:
                self.flush()
            self._last = None  # who waits keeps nothing
            self._take_in(self._receive_rest() if self._rest else self._receive_first())
        self._message_deadline = None
        return self._ready.popleft()

    def _take_in(self, data: bytes) -> None:
        """Make messages of what has come; raises a breach if it is the next message, and not before."""
        if self._interruption is not None:
            raise self._interruption
        if not data:
            self._end()
            return
        if self._rest:
            self._rest += data
            refuse_breach(self._rest, self.max_message)
            if lacking(self._rest):
                return
            data = bytes(self._rest)
            self._rest.clear()
        texts, end = split(data, self.max_message)
        if end < len(data):
            self._rest += data[end:]
            if not texts:
                refuse_breach(self._rest, self.max_message)
                return
            data = data[:end]
        self._ready.extend(texts)
        self._last = (texts, data)
        self.messages_received += len(texts)
        self.bytes_received += len(data)
        if self.is_followed:
            self._show_journal()

    def _show_journal(self) -> None:
        if self.journal is not None:
            self.journal.look(self)

    def _receive_first(self) -> bytes:
        """Wait for the first bytes of a message; none if the peer has ended."""
        deadline = Deadline(self.timeouts.idle, DeadlineExceeded, SILENT)
        if self.stop is not None and self.stop.is_set:
            # What had come before the stop is still answered, but only one chunk of it, and then no byte more
            # than the message it ends in lacks: a client that never pauses must not hold the stop up.
            if self._heard_stop:
                raise Stopping
            self._heard_stop = True
        return self._receive(_CHUNK, deadline, self.stop)

    def _receive_rest(self) -> bytes:
        """Wait for more bytes of a message that has begun."""
        if self._message_deadline is None:
            self._message_deadline = Deadline(self.timeouts.message, MessageStalled, _STALLED)
        size = min(lacking(self._rest), LARGEST_CHUNK)
        if self.stop is None or not self.stop.is_set:
            size = max(size, _CHUNK)
        return self._receive(size, self._message_deadline, None)

    def _receive(self, size: int, deadline: Deadline, stop: StopFlag | None) -> bytes:
        return self._retry(partial(self._read_now, size), select.POLLIN, deadline.or_earlier(self.overall), stop)

    def _end(self) -> None:
        if self._has_ended_input:
            raise Stopping
        self.has_ended = True
        if self._rest:
            raise ConnectionLost("the peer ended it inside a message")
