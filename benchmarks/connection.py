"""A connection that never blocks, plain or with TLS. A load generator has hundreds of them.

It does not know what the bytes mean.
"""

import contextlib
import socket
import ssl

from benchmarks.work import Work

# One buffer for all connections: a new buffer of this size for each read would take longer than the read.
_buffer = memoryview(bytearray(262_144))

_HANDSHAKE_CUT = "the server closed the connection during the TLS handshake: does it allow so many connections?"


class Connection:
    """A connection to the server of a `Work`."""

    def __init__(self, work: Work, context: ssl.SSLContext | None) -> None:
        """Connect, without the TLS handshake. Raise OSError if the connection fails."""
        self.socket = socket.create_connection((work.host, work.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        if context is not None:
            self.socket = context.wrap_socket(
                self.socket, server_hostname=work.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
        self._unsent = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    @property
    def wants_to_send(self) -> bool:
        """Return whether there are bytes that the kernel has not taken yet."""
        return bool(self._unsent)

    def is_agreed(self) -> bool:
        """Continue the TLS handshake, if there is one. Return whether it is done."""
        if isinstance(self.socket, ssl.SSLSocket):
            try:
                self.socket.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
                raise ConnectionResetError(_HANDSHAKE_CUT) from error
        return True

    def receive(self) -> bytes | None:
        """Return the bytes that have come, b"" at the end of the stream, or None if there are none yet."""
        try:
            return _buffer[: self.socket.recv_into(_buffer)].tobytes()
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

    def has_more(self) -> bool:
        """Return whether TLS holds bytes that poll() does not see."""
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def send(self, data: bytes) -> None:
        """Send as many bytes as the kernel takes. The next call sends the rest first; its `data` may be empty."""
        data = self._unsent + data
        sent = 0
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            sent = self.socket.send(data)
        self._unsent = data[sent:]

    def close(self) -> None:
        self.socket.close()
