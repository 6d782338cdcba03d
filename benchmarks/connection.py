"""A connection that never blocks, plain or with TLS: what a load generator keeps hundreds of."""

import contextlib
import socket
import ssl

from benchmarks.work import Work

# One for all connections: a buffer of that size made for each read would take longer than the read.
_buffer = memoryview(bytearray(262_144))

_NO_TLS = "the server ended it during the TLS handshake: does it allow so many connections?"


class Connection:
    """`wants_to_send` tells whether bytes are left that the kernel did not take."""

    def __init__(self, work: Work, context: ssl.SSLContext | None) -> None:
        """Connected, but TLS not yet agreed on; raises OSError if nobody listens."""
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
        return bool(self._unsent)

    def is_agreed(self) -> bool:
        """Go on with the handshake, if there is one to do; whether it is done."""
        if isinstance(self.socket, ssl.SSLSocket):
            try:
                self.socket.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except ssl.SSLEOFError as error:
                raise ConnectionResetError(_NO_TLS) from error
        return True

    def receive(self) -> bytes | None:
        """What has come, b"" at the end, None if nothing has."""
        try:
            return _buffer[: self.socket.recv_into(_buffer)].tobytes()
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

    def has_more(self) -> bool:
        """Whether TLS holds bytes that poll() does not see."""
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def send(self, data: bytes) -> None:
        """Send as much as the kernel takes; the rest goes with the next call, which may have no data."""
        data = self._unsent + data
        sent = 0
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            sent = self.socket.send(data)
        self._unsent = data[sent:]

    def close(self) -> None:
        self.socket.close()
