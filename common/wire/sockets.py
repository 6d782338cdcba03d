"""The socket that sends and receives messages. The socket with TLS (tls.py) only adds TLS.

A message is a str here and a frame on the wire (framing.py). The socket knows deadlines, a size limit and a stop flag
(waiting.py). It does not know kinds, handlers, or whether it belongs to the server or the client.
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
# Bytes that a connection reads at a time, and holds before it serves them. A longer message is read piece by piece.
_CHUNK = 16384
_SMALLEST_CHUNK = 2048
# Messages that are split off at a time: short ones take ten times as much memory as their bytes on the wire.
_MOST_AT_ONCE = 64
_LONGEST_GATHERED = 1024
_STALLED = "a message was not complete after {seconds:g} seconds"


class Observer(Protocol):
    """The log of a connection. It reads the counts of the connection after each message."""

    def log_messages(self, connection: "MessageSocket") -> None: ...
    def close(self, connection: "MessageSocket") -> None: ...


class _Nothing(PorterError):
    """There is nothing to read just now."""


class MessageSocket(WaitingSocket):
    """A socket.socket with `send_message` and `receive_message`.

    The owner may set `timeouts` and these attributes at any time. `max_message` is the longest accepted message, in
    bytes of body. `overall` is a deadline for everything, until it is set to None; a login has one. While
    `is_followed` is true, `journal` is called for each message. Only the owner uses `peer` and `plan`.
    """

    __slots__ = (
        *("max_message", "overall", "journal", "is_followed", "opened_at", "peer", "plan"),
        *("messages_received", "bytes_received", "messages_sent", "bytes_sent"),
        *("_rest", "_ready", "_last", "_outgoing", "_message_deadline", "_heard_stop", "_is_last"),
    )

    max_message: int
    overall: Deadline | None
    journal: Observer | None
    is_followed: bool
    peer: str
    plan: Any
    opened_at: float
    messages_received: int
    bytes_received: int
    messages_sent: int
    bytes_sent: int
    _rest: bytearray  # bytes that are not a complete message: not checked yet, the start of one, or a wrong one
    _ready: list[str]  # in reverse order, the next one is the last; an empty deque takes ten times as much memory
    _last: tuple[list[str], bytes] | None  # the messages of the last read, with their frames
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
        """Send `text`: at once, or later if a complete message is already waiting to be received.

        In the second case the answers to a burst are sent together, at the latest before the next wait. At a depth
        of 16 this gives five times as many messages a second.

        Raise ConnectionLost if the connection is dead, and NotText if `text` cannot be UTF-8.
        """
        is_gathered = self._ready and len(text) <= _LONGEST_GATHERED and len(self._outgoing) < _MOST_AT_ONCE
        if is_gathered or self._outgoing or self._last is not None:
            if not text.isascii():
                encode(text)  # a text that cannot be UTF-8 must fail here, not later together with the others
            self._outgoing.append(text)
            if not is_gathered:
                self.flush()
        else:
            frame = encode(text)
            self._send_all(frame)
            self.messages_sent += 1
            self.bytes_sent += len(frame)
            if self.is_followed:
                self._log_messages()

    def receive_message(self) -> str | None:
        """Wait for the next message and return it. Return None if the peer has closed after the last one.

        Raise a ProtocolError if the peer breaks the protocol, DeadlineExceeded if no message comes in time, Stopping
        if the stop flag is set and everything that had come is received, ConnectionLost if the connection is dead.
        """
        if self._interruption is not None:
            raise self._interruption
        if self.overall is not None:
            self.overall.remaining()  # checked here, too: if the peer sends everything in advance, we never wait
        if self._ready:
            return self._ready.pop()
        return self._receive_more()

    @property
    def has_waiting(self) -> bool:
        """Return whether a complete message is here, so that `receive_message` would not wait."""
        return bool(self._ready)

    def receive_waiting(self) -> Iterator[str]:
        """Yield the complete messages that have come, without waiting. A caller with an event loop uses this.

        It reads only once. Bytes that are left make the socket readable again; only messages that came together with
        a TLS handshake do not (see `has_waiting`). Raise what `receive_message` raises, after the messages that came
        before the error.
        """
        with contextlib.suppress(_Nothing):
            self._take_in(self._retry(partial(self._read_now, LARGEST_CHUNK), select.POLLIN, Deadline(0, _Nothing)))
        while self._make_ready():
            yield self._ready.pop()
        self._heed_end()

    def flush(self) -> None:
        """Send the messages that `send_message` has gathered."""
        texts = self._outgoing
        if not texts:
            return
        self._outgoing = []
        count = len(texts)
        # An echo is sent with the bytes that came in: encoding it again would take longer than all the rest here.
        last, self._last = self._last, None
        data = last[1] if last is not None and last[0] == texts else b"".join(map(encode, texts))
        del last
        texts.clear()  # keep only one copy while the peer does not read
        self._send_all(data)
        self.messages_sent += count
        self.bytes_sent += len(data)
        if self.is_followed:
            self._log_messages()

    def end_sending(self) -> None:
        """Send what is gathered and end our side. The peer still gets it all, and may go on sending."""
        self.flush()
        self._say_goodbye()
        with contextlib.suppress(OSError):  # the peer has ended the connection
            socket.socket.shutdown(self, socket.SHUT_WR)

    def finish(self, linger: float) -> None:
        """End our side of the connection, then close it. Never raise; a second call is allowed.

        The bytes that the peer still sends are read and dropped, up to `linger` seconds or 1 MiB. Closing a socket
        with unread input resets the connection, and the reset can overtake our last message.
        """
        try:
            if self.fileno() >= 0:
                with contextlib.suppress(OSError, ValueError, PorterError):
                    self.flush()
                    self._say_goodbye()
                if not self.has_ended:  # otherwise close() is enough, and there is nothing to drop
                    with contextlib.suppress(OSError, PorterError):
                        socket.socket.shutdown(self, socket.SHUT_WR)
                        self._drop_input(linger)
                if self.journal is not None:
                    self.journal.close(self)
        finally:  # also after a Ctrl-C in the midst of it
            self.close()

    def _receive_more(self) -> str | None:
        """Wait for a message and return it. Return None if the peer has closed after the last one."""
        if self._outgoing:
            self.flush()
        self._last = None  # an idle connection holds no messages
        # The usual case has no further calls, since calls are half of the cost of a message: no part of a message is
        # here, there is no overall deadline, and exactly one short message comes.
        if not self._rest and self.overall is None and (data := self._wait_and_read()) is not None:
            text = None if self._takes_much else sole_text(data, self.max_message)
            if text is not None and self._interruption is None:
                self.messages_received += 1
                self.bytes_received += len(data)
                if self.is_followed:
                    self._log_messages()
                return text
            self._take_in(data)
        while not self._make_ready():
            if self._heed_end():
                return None
            self._take_in(self._receive_rest() if self._has_begun() else self._receive_first())
        self._message_deadline = None
        return self._ready.pop()

    def _next_chunk(self, head: bytes) -> int:
        # Read a large message alone: the next one would have to be kept in the meantime.
        return min(max(len(head) + lacking(head), _CHUNK), LARGEST_CHUNK)

    def _has_begun(self) -> bool:
        """Return whether part of a message has arrived."""
        return bool(self._rest)

    def _make_ready(self) -> bool:
        """Return whether a message is ready, without waiting. Raise a ProtocolError if the next frame is wrong."""
        if not self._ready:
            self._last = None
            refuse_breach(self._rest, self.max_message)
            if not lacking(self._rest):
                self._split(self._all_of_the_rest())
        return bool(self._ready)

    def _take_in(self, data: bytes) -> None:
        """Split `data` into messages.

        A wrong frame stays in the rest: the messages that came before it are received first.
        """
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
            self._log_messages()

    def _say_goodbye(self) -> None:
        """Send what belongs between the last message and the end of the stream. Without TLS this is nothing."""

    def _log_messages(self) -> None:
        if self.journal is not None:
            self.journal.log_messages(self)

    def _receive_first(self) -> bytes:
        """Wait for the first bytes of a message and return them. Return b"" if the peer has ended."""
        deadline = Deadline(self.timeouts.idle, DeadlineExceeded, SILENT)
        if self.stop is not None and self.stop.is_set:
            # Messages that came before the stop are still answered, but only one chunk of them, and the message that
            # begins at the end of this chunk. So a client that never pauses cannot delay the stop.
            if self._heard_stop:
                raise Stopping
            self._heard_stop = True
        return self._receive(self._chunk, deadline, self.stop)

    def _receive_rest(self) -> bytes:
        """Wait for more bytes of a message that has begun, and return them."""
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
        """Return how many bytes to read at a time: fewer if the messages must be short."""
        return min(_CHUNK, max(self.max_message, _SMALLEST_CHUNK))

    def _receive(self, size: int, deadline: Deadline, stop: StopFlag | None) -> bytes:
        return self._retry(partial(self._read_now, size), select.POLLIN, deadline.or_earlier(self.overall), stop)

    def _heed_end(self) -> bool:
        """Return whether the peer has closed its side. Raise ConnectionLost if that was inside a message."""
        if self.has_ended and self._rest:
            raise ConnectionLost("the peer ended the connection inside a message")
        return self.has_ended
