"""Sockets that send and receive text messages: what the plain one and the one with TLS (tls.py) share, and the plain.

A message is a str here and a frame on the wire (framing.py). The sockets know deadlines, a size limit and a flag
that stops them; they know nothing of kinds, handlers, or which side they are on.

Each socket is touched by one thread only: two threads on one SSLSocket corrupt it (openssl#20446, cpython#151508).
The exception is `interrupt`, which works below TLS.
"""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from common.deadline import Deadline, poll_milliseconds
from common.errors import (
    ConnectionLost,
    DeadlineExceeded,
    MessageStalled,
    PorterError,
    Stopping,
)
from common.framing import HEADER, Decoder, decode, encode
from common.stopflag import StopFlag

DEFAULT_MAX_MESSAGE = 65536
# What a connection may hold of others' bytes before it serves them; a longer message is read as it comes.
_CHUNK = 16384
_LARGEST_CHUNK = 65536
_GATHER_LIMIT = 16384
_LINGER_LIMIT = 1_048_576
_STALLED = "a message was not complete after {:g} seconds"
_NOT_TAKEN = "the peer did not take what was sent within {:g} seconds"

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Timeouts:
    """In seconds; None waits for ever."""

    idle: float | None = None  # between two messages
    message: float | None = None  # from the first byte of a message to its last
    send: float | None = None  # until the peer has taken what is sent to it


class Journal(Protocol):
    """Whoever wants to know of each message; lengths are bytes of body."""

    def received(self, length: int) -> None: ...
    def sent(self, length: int) -> None: ...


class _Nothing(PorterError):
    """Nothing to read just now."""


# At run time the mixin stands beside a socket class; for the type checker it is one.
if TYPE_CHECKING:
    _Socket = socket.socket
else:
    _Socket = object


class MessageMixin(_Socket):
    """What both sockets share. Usable as it is; the owner may set the attributes below at any time.

    `overall` bounds everything until it is set to None (a login), `stop` ends a wait between two messages with
    Stopping, `journal` hears of each message. `has_ended` tells whether the peer has closed its side. `plan` is for
    the owner alone.
    """

    timeouts = Timeouts()
    overall: Deadline | None = None
    stop: StopFlag | None = None
    journal: Journal | None = None
    plan: Any = None

    _interruption: PorterError | None = None
    _message_deadline: Deadline | None = None
    _heard_stop = False
    _is_mute = False
    _gathered = 0
    has_ended = False
    opened_at: float
    _decoder: Decoder
    _outgoing: list[bytes]

    # wrap_socket makes an SSLSocket without calling any __init__ of ours, so the state is made here.
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls, *args, **kwargs)
        self._decoder = Decoder(DEFAULT_MAX_MESSAGE)
        self._outgoing = []
        self.opened_at = time.monotonic()
        return self

    @property
    def max_message(self) -> int:
        """The longest message accepted, in bytes of body."""
        return self._decoder.max_message

    @max_message.setter
    def max_message(self, limit: int) -> None:
        self._decoder.max_message = limit

    def send_message(self, text: str) -> None:
        """Send `text`, at once unless a whole message is already waiting to be received.

        In that case the answers of a burst leave together, before the next wait at the latest: five times the
        messages at a depth of 16. Raises ConnectionLost, and NotText for what cannot be UTF-8.
        """
        frame = encode(text)
        self._outgoing.append(frame)
        self._gathered += len(frame)
        if not self._decoder.has_body() or self._gathered > _GATHER_LIMIT:
            self.flush()

    def receive_message(self) -> str | None:
        """The next message, or None when the peer has closed after the last one.

        Raises a ProtocolError for a breach, DeadlineExceeded when nothing comes, Stopping when the stop flag is
        set and all that had come is received, ConnectionLost otherwise.
        """
        self._heed_interruption()
        if self.overall is not None:
            self.overall.remaining()  # who sends everything ahead never makes us wait
        while (body := self._decoder.next_body()) is None:
            has_more = self._receive_more()
            self._heed_interruption()
            if not has_more:
                return None
        self._message_deadline = None
        if self.journal is not None:
            self.journal.received(len(body))
        return decode(body)

    def receive_waiting(self) -> Iterator[str]:
        """The whole messages that have come, without waiting, for a caller with an event loop of its own.

        One read: what is left makes the socket readable again. Raises what `receive_message` raises, after the
        messages that came before it.
        """
        try:
            data = self._retry(partial(self._read_now, _LARGEST_CHUNK), select.POLLIN, Deadline(0, _Nothing))
        except _Nothing:
            return
        self._decoder.feed(data)
        while (body := self._decoder.next_body()) is not None:
            if self.journal is not None:
                self.journal.received(len(body))
            yield decode(body)
        if not data:
            self._end()

    def interrupt(self, error: PorterError) -> None:
        """Have the present or the next `receive_message` raise `error`; the one method for another thread to call.

        It must not be called once the socket may be closed.
        """
        self._interruption = error
        # This wakes poll(), below TLS: whoever is woken finds the error and does not read, so that the channel
        # stays intact for a farewell.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RD)

    def flush(self) -> None:
        """Send what `send_message` has gathered."""
        if not self._outgoing:
            return
        frames, self._outgoing, self._gathered = self._outgoing, [], 0
        lengths = [len(frame) - HEADER.size for frame in frames]
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()  # who does not read must not have us keep two copies
        self._send_all(data)
        if self.journal is not None:
            for length in lengths:
                self.journal.sent(length)

    def finish(self, linger: float) -> None:
        """End our side, then close; never raises, and may be called again.

        What the peer still sends is read and dropped for up to `linger` seconds or 1 MiB: closing a socket with
        unread input resets the connection, and the reset can overtake our last message.
        """
        if self.fileno() >= 0:
            with contextlib.suppress(OSError, ValueError, PorterError):
                self.flush()
                self._say_goodbye()
            with contextlib.suppress(OSError, PorterError):
                socket.socket.shutdown(self, socket.SHUT_WR)
                self._drop_input(linger)
        self.close()

    def _receive_more(self) -> bool:
        """Wait for bytes and feed the decoder; False if the peer has closed between two messages."""
        self.flush()
        between_messages = not self._decoder.mid_message
        is_stopping = self.stop is not None and self.stop.is_set()
        if between_messages:
            deadline = Deadline(self.timeouts.idle, DeadlineExceeded, "no message for {:g} seconds")
            if is_stopping:
                # What had come before the stop is still answered, but only one chunk of it, and then no byte more
                # than the message it ends in lacks: a client that never pauses must not hold the stop up.
                if self._heard_stop:
                    raise Stopping
                self._heard_stop = True
        else:
            if self._message_deadline is None:
                self._message_deadline = Deadline(self.timeouts.message, MessageStalled, _STALLED)
            deadline = self._message_deadline
        size = min(self._decoder.lacking, _LARGEST_CHUNK)
        if not is_stopping or between_messages:
            size = max(size, _CHUNK)
        data = self._retry(
            partial(self._read_now, size),
            select.POLLIN,
            deadline.or_earlier(self.overall),
            self.stop if between_messages else None,
        )
        if data:
            self._decoder.feed(data)
            return True
        self._end()
        return False

    def _heed_interruption(self) -> None:
        if self._interruption is not None:
            raise self._interruption

    def _end(self) -> None:
        self.has_ended = True
        if self._decoder.mid_message:
            raise ConnectionLost("the peer ended it inside a message")

    def _send_all(self, data: bytes) -> None:
        if self._is_mute:
            raise ConnectionLost("there is no TLS to send it with")
        deadline = Deadline(self.timeouts.send, ConnectionLost, _NOT_TAKEN)
        rest = memoryview(data)
        while rest:
            sent = self._retry(partial(self._write_now, rest), select.POLLOUT, deadline)
            rest = rest[sent:]

    def _retry(
        self, attempt: Callable[[], _Result], event: int, deadline: Deadline, stop: StopFlag | None = None
    ) -> _Result:
        """What `attempt` gives, waiting whenever it would block; a dead connection becomes ConnectionLost."""
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            except BlockingIOError:
                pass
            except ssl.SSLEOFError as error:
                raise ConnectionLost("the peer ended it without close_notify") from error
            except OSError as error:
                raise ConnectionLost(error.strerror or str(error)) from error
            self._wait(event, deadline, stop)

    def _wait(self, event: int, deadline: Deadline, stop: StopFlag | None) -> None:
        poller = select.poll()
        poller.register(self, event)
        if stop is not None:
            poller.register(stop, select.POLLIN)
        ready = poller.poll(poll_milliseconds(deadline.remaining()))
        if event == select.POLLIN:
            self._heed_interruption()
        if ready and stop is not None and all(descriptor == stop.fileno() for descriptor, _ in ready):
            raise Stopping

    def _drop_input(self, linger: float) -> None:
        """Read and forget, below TLS, until the peer ends, `linger` is over or the limit is reached."""
        deadline = Deadline(linger, Stopping)
        dropped = 0
        while not self.has_ended and dropped < _LINGER_LIMIT:
            try:
                data = socket.socket.recv(self, _CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline, None)
                continue
            dropped += len(data)
            self.has_ended = not data

    def _read_now(self, size: int) -> bytes:
        raise NotImplementedError

    def _write_now(self, data: memoryview) -> int:
        raise NotImplementedError

    def _say_goodbye(self) -> None:
        """What is sent between the last message and the end of the stream: nothing, without TLS."""


class MessageSocket(MessageMixin, socket.socket):
    """A socket.socket with `send_message` and `receive_message`; everything else is as it was."""

    @classmethod
    def adopt(cls, connection: socket.socket) -> Self:
        """Take over an open socket, which is left without its descriptor; accept() returns only the base class."""
        return cls(connection.family, connection.type, connection.proto, fileno=connection.detach())

    def _read_now(self, size: int) -> bytes:
        return self.recv(size, socket.MSG_DONTWAIT)

    def _write_now(self, data: memoryview) -> int:
        return self.send(data, socket.MSG_DONTWAIT)
