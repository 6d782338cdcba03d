"""The bytes of a connection both ways, with TLS or without: nothing here waits. It knows frames, and no messages.

Reading is for whoever has the connection in hand. Sending is for any thread, under the lock, which is never held
while anything waits; TLS is used under the lock for reading, too.
"""

import contextlib
import socket
import ssl
import threading
import time

from common.errors import ConnectionLost, PorterError
from common.wire.sockets import lost
from common.wire.tls import Tls

_BUFFER = 16384  # bytes


class Channel:
    """A socket that does not block, and what the peer has not taken yet.

    `unsent_since` (of time.monotonic()) is when the oldest part of the unsent bytes should have been taken: all of
    them are as old at most. `taken_at` is when the peer last took all that there was. `pushed` counts the unsent
    bytes that others have pushed. `has_ended` tells whether the peer has ended its side, `has_part` whether a part of
    a TLS record has come. `messages` and `sent_bytes` count what was sent.
    """

    __slots__ = (
        *("has_ended", "has_part", "lock", "messages", "pushed", "sent_bytes", "taken_at", "tls", "unsent"),
        *("unsent_since", "_context", "_due", "_is_shut", "_receive", "_send", "_socket"),
    )

    def __init__(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        """Use a socket that does not block. With a context, nothing is sent before the TLS handshake is done."""
        self.lock = threading.RLock()  # whoever holds it may call what takes it
        self.tls: Tls | None = None
        self.has_ended = self.has_part = False
        self.messages = self.sent_bytes = 0
        self.unsent: bytearray | bytes = b""  # as it goes on the wire
        self.unsent_since = self.taken_at = 0.0
        self.pushed = 0
        self._context = context
        self._socket = connection
        self._receive = connection.recv
        self._send = connection.send
        self._due = 0  # unsent bytes that are as old as `unsent_since`
        self._is_shut = False

    # Reading, by whoever has the connection in hand.

    def receive(self, size: int) -> bytes | None:
        """Return bytes from the wire, b"" at the end of the stream, or None if there are none now.

        Raise ConnectionLost if the connection is dead.
        """
        try:
            return self._receive(size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise lost(error) from error

    def heed_end(self) -> None:
        """Take notice of the end of the stream. Raise ConnectionLost if it is an end that TLS has not announced."""
        if self.tls is not None:
            self.tls.check_end()
        self.has_ended = True

    def decipher(self, data: bytes) -> bytes:
        """Return the clear bytes of what came over TLS."""
        assert self.tls is not None
        with self.lock:
            clear = self.tls.decipher(data)
            self._transmit(self.tls.leaving())
        self.has_ended, self.has_part = self.tls.has_ended, self.tls.has_part
        return clear

    def shake_hands(self) -> bytes | None:
        """Continue the TLS handshake. Return None while it goes on, and afterwards the clear bytes that came with it.

        It begins with the first byte: it costs 34 KiB. Raise HandshakeFailed or ConnectionLost if it fails.
        """
        data = self.receive(_BUFFER)
        if data is None:
            return None
        if not data:
            raise ConnectionLost("the peer ended the connection during the TLS handshake")
        assert self._context is not None
        with self.lock:
            if self.tls is None:
                self.tls = Tls(self._context)
            try:
                self.tls.shake_hands(data)
            finally:  # an alert is sent, too
                self._transmit(self.tls.leaving())
        if not self.tls.is_agreed:
            return None
        self._acknowledge()
        return self.decipher(b"")

    def _acknowledge(self) -> None:
        """Acknowledge the end of the handshake: the first message of a client with Nagle's algorithm waits for that.

        The kernel would do so with our next bytes, or after 40 ms.
        """
        if option := getattr(socket, "TCP_QUICKACK", None):
            with contextlib.suppress(OSError):  # the connection may be gone already
                self._socket.setsockopt(socket.IPPROTO_TCP, option, 1)

    # Sending, by any thread.

    def send(self, gathered: list[bytes]) -> None:
        """Send frames together, and empty the list. Raise ConnectionLost if the connection is dead.

        What another thread appends meanwhile stays in the list, and is nobody's loss: it sends, too.
        """
        with self.lock:
            count = len(gathered)
            if count == 1:
                data = gathered.pop(0)
            else:  # also none: another thread was quicker
                data = b"".join(gathered[:count])
                del gathered[:count]
            self.messages += count
            self.sent_bytes += len(data)
            if self._context is not None and data:
                if self.tls is None:
                    raise ConnectionLost("there is no TLS to send it with")
                data = self.tls.encipher(data)
            self._transmit(data)

    def send_unsent(self) -> None:
        """Send what the kernel takes now of what it did not take before. Raise ConnectionLost if it is dead."""
        with self.lock:
            if not self.unsent:
                return
            assert isinstance(self.unsent, bytearray)
            try:
                sent = self._send(self.unsent)
            except BlockingIOError:
                return
            except OSError as error:
                raise lost(error) from error
            del self.unsent[:sent]
            self._due -= sent
            if self._due <= 0:  # the bytes behind them have come later, and have their own time
                self._due = len(self.unsent)
                self.unsent_since = time.monotonic()
            if not self.unsent:
                self.unsent = b""
                self.pushed = 0
                self.taken_at = time.monotonic()

    def say_goodbye(self) -> None:
        """Send the end of TLS; nothing may be sent after it. Never raise."""
        with self.lock, contextlib.suppress(PorterError):
            if self.tls is not None:
                self._transmit(self.tls.goodbye())

    def is_over(self) -> bool:
        """Go on with the end: send the rest, then end our side. Return whether that is done and the peer has ended.

        Raise OSError or ConnectionLost if the connection is dead.
        """
        self.send_unsent()
        if self.unsent:
            return False
        if not self.has_ended and not self._is_shut:
            self._is_shut = True
            self._socket.shutdown(socket.SHUT_WR)
        return self.has_ended

    def _transmit(self, data: bytes) -> None:
        """Send bytes as they go on the wire, and keep what the kernel does not take."""
        if not data:
            return
        if self.unsent:
            assert isinstance(self.unsent, bytearray)
            self.unsent += data
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise lost(error) from error
        if sent < len(data):
            self.unsent = bytearray(memoryview(data)[sent:])
            self._due = len(self.unsent)
            self.unsent_since = time.monotonic()
