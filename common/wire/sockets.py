"""The socket that sends and receives messages, with TLS or without, and waits until it can.

A message is a str here and a frame on the wire (framing.py). The client uses it, and so do scripts and tests; the
server has connections that never wait (server/engine). It does not know kinds.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import ConnectionLost, DeadlineExceeded, MessageStalled, PorterError
from common.wire.deadline import Deadline, poll_milliseconds
from common.wire.framing import encode
from common.wire.inbox import Inbox
from common.wire.journal import Counts, Journal
from common.wire.tls import Tls

DEFAULT_MAX_MESSAGE = 65536
LARGEST_CHUNK = 66_560  # bytes: one read takes the longest message of the default limit, also in TLS records
SILENT = "no message came for {seconds:g} seconds"
STALLED = "a message was not complete after {seconds:g} seconds"
NOT_TAKEN = "the peer did not take what was sent within {seconds:g} seconds"
NO_HANDSHAKE = "the TLS handshake was not complete after {seconds:g} seconds"
INSIDE_A_MESSAGE = "the peer ended the connection inside a message"
_LINGER_CHUNK = 16384
_LINGER_LIMIT = 1_048_576


@dataclass(frozen=True)
class Timeouts:
    """The timeouts of a socket, in seconds; None waits for ever."""

    idle: float | None = None  # between two messages
    message: float | None = None  # from the first byte of a message to its last
    send: float | None = None  # until the peer has taken the sent bytes


class MessageSocket:
    """A connected socket with `send_message` and `receive_message`.

    The owner may set `timeouts`, `max_message` (the longest accepted message, in bytes of body) and `journal` at any
    time. `has_ended` tells whether the peer has closed its side. Only one thread may use it at a time.
    """

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connected socket, without TLS at first."""
        connection.setblocking(False)
        self.socket = connection
        self.tls: Tls | None = None
        self.timeouts = Timeouts()
        self.max_message = DEFAULT_MAX_MESSAGE
        self.journal: Journal | None = None
        self.has_ended = False
        self._inbox = Inbox()
        self._messages_sent = self._bytes_sent = 0

    @property
    def counts(self) -> Counts:
        return self._inbox.messages, self._inbox.bytes, self._messages_sent, self._bytes_sent

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    def handshake(self, context: ssl.SSLContext, timeout: float | None, server_hostname: str | None = None) -> Tls:
        """Make the TLS handshake within `timeout` seconds. `context` decides whether as server or as client.

        Raise HandshakeFailed if it fails, ValueError for a host name that TLS does not allow, and what
        `receive_message` raises.
        """
        deadline = Deadline(timeout, DeadlineExceeded, NO_HANDSHAKE)
        self.tls = tls = Tls(context, server_hostname)
        data = b""
        while True:
            try:
                tls.shake_hands(data)
            except PorterError:
                with contextlib.suppress(ConnectionLost):  # send an alert to the peer, which may be gone
                    self._send_all(tls.leaving())
                raise
            self._send_all(tls.leaving())
            if tls.is_agreed:
                break
            data = self._receive(deadline)
            if not data:
                tls.check_end()
        self._take_in(b"")  # the peer may have sent more, right after the handshake
        return tls

    def send_message(self, text: str) -> None:
        """Send `text`. Raise ConnectionLost if the connection is dead, and NotText if `text` cannot be UTF-8."""
        frame = encode(text)
        self.send_bytes(frame)
        self._messages_sent += 1
        self._bytes_sent += len(frame)
        self._note()

    def send_bytes(self, data: bytes) -> None:
        """Send bytes that need not be a frame, over TLS if there is TLS. Raise ConnectionLost as `send_message`."""
        self._send_all(data if self.tls is None else self.tls.encipher(data))

    def receive_message(self) -> str | None:
        """Wait for the next message and return it. Return None if the peer has closed after the last one.

        Raise a ProtocolError if the peer breaks the protocol, DeadlineExceeded if no message comes in time, and
        ConnectionLost if the connection is dead.
        """
        idle = Deadline(self.timeouts.idle, DeadlineExceeded, SILENT)
        whole: Deadline | None = None
        while (text := self._inbox.take(self.max_message)) is None:
            if self._heed_end():
                return None
            if self._has_begun:
                whole = whole or Deadline(self.timeouts.message, MessageStalled, STALLED)
            data = self._receive(whole or idle)
            self._take_in(data) if data else self._end()
        return text

    @property
    def has_waiting(self) -> bool:
        """Return whether a complete message is here, so that `receive_message` would not wait."""
        return self._inbox.has_message

    def receive_waiting(self) -> Iterator[str]:
        """Yield the complete messages that have come, without waiting. A caller with an event loop uses this.

        It reads only once. Bytes that are left make the socket readable again; only messages that came together with
        a TLS handshake do not (see `has_waiting`). Raise what `receive_message` raises, after the messages that came
        before the error.
        """
        with contextlib.suppress(BlockingIOError):
            data = self._receive_now()
            self._take_in(data) if data else self._end()
        while (text := self._inbox.take(self.max_message)) is not None:
            yield text
        self._heed_end()

    def end_sending(self) -> None:
        """End our side. The peer still gets all that was sent, and may go on sending."""
        if self.tls is not None:
            self._send_all(self.tls.goodbye())
        with contextlib.suppress(OSError):  # the peer has ended the connection
            self.socket.shutdown(socket.SHUT_WR)

    def finish(self, linger: float) -> None:
        """End our side of the connection, then close it. Never raise; a second call is allowed.

        The bytes that the peer still sends are read and dropped, up to `linger` seconds or 1 MiB. Closing a socket
        with unread input resets the connection, and the reset can overtake our last message.
        """
        try:
            if self.fileno() >= 0:
                with contextlib.suppress(PorterError):
                    self.end_sending()
                if not self.has_ended:
                    with contextlib.suppress(OSError, PorterError):
                        self._drop_input(Deadline(linger, DeadlineExceeded))
                if self.journal is not None:
                    self.journal.close(self)
        finally:  # also after a Ctrl-C in the midst of it
            self.close()

    @property
    def _has_begun(self) -> bool:
        return self._inbox.has_begun or (self.tls is not None and self.tls.has_part)

    def _take_in(self, data: bytes) -> None:
        """Put bytes from the wire into the inbox."""
        if self.tls is not None:
            data = self.tls.decipher(data)
            self.has_ended = self.tls.has_ended
            self._send_all(self.tls.leaving())
        if data:
            self._inbox.put(data, self.max_message)
            self._note()

    def _note(self) -> None:
        if self.journal is not None and self.journal.is_followed:
            self.journal.note(self)

    def _end(self) -> None:
        """Heed the end of the stream."""
        if self.tls is not None:
            self.tls.check_end()
        self.has_ended = True

    def _heed_end(self) -> bool:
        """Return whether the peer has closed its side. Raise ConnectionLost if that was inside a message."""
        if self.has_ended and self._inbox.has_begun:
            raise ConnectionLost(INSIDE_A_MESSAGE)
        return self.has_ended

    def _receive(self, deadline: Deadline) -> bytes:
        """Wait for bytes. Return b"" at the end of the stream."""
        while True:
            try:
                return self._receive_now()
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)

    def _receive_now(self) -> bytes:
        try:
            return self.socket.recv(LARGEST_CHUNK)
        except BlockingIOError:
            raise
        except OSError as error:
            raise lost(error) from error

    def _send_all(self, data: bytes) -> None:
        """Send all of `data`. Raise ConnectionLost if the peer does not take it in time."""
        deadline: Deadline | None = None
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                deadline = deadline or Deadline(self.timeouts.send, ConnectionLost, NOT_TAKEN)
                self._wait(select.POLLOUT, deadline)
            except OSError as error:
                raise lost(error) from error

    def _wait(self, event: int, deadline: Deadline) -> None:
        poller = select.poll()
        poller.register(self.socket, event)
        poller.poll(poll_milliseconds(deadline.remaining()))

    def _drop_input(self, deadline: Deadline) -> None:
        """Read and drop bytes until the peer ends, `deadline` is over, or the limit is reached."""
        dropped = 0
        while dropped < _LINGER_LIMIT and (data := self._receive(deadline)):
            dropped += len(data)


def lost(error: OSError) -> ConnectionLost:
    """Return the error for a connection that the system says is dead."""
    return ConnectionLost("{reason}", reason=error.strerror or error)
