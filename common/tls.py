"""TLS for both sides: the socket, the contexts that make it, and the fingerprint that names a certificate.

Trust is by fingerprint, as with ssh: there is no authority, so the client checks the certificate itself
(client/trust.py). Nothing here makes a certificate or keeps one.
"""

import base64
import contextlib
import hashlib
import select
import socket
import ssl
from pathlib import Path
from typing import Self, cast

from common.deadline import Deadline
from common.errors import ConnectionLost, DeadlineExceeded, HandshakeFailed
from common.messages import STATE, MessageMixin


class SecureMessageSocket(MessageMixin, ssl.SSLSocket):
    """The same over TLS: what `wrap_socket` of a context with this `sslsocket_class` gives.

    Never call its shutdown(): that drops the TLS layer, and the next bytes leave in clear text (cpython#124618).
    """

    __slots__ = STATE

    @classmethod
    def wrap(
        cls,
        plain: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> Self:
        """Take over an open socket, for TLS by one of the contexts below; the handshake is still to come."""
        wrapped = context.wrap_socket(
            plain,
            server_side=server_side,
            server_hostname=server_hostname,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        return cast(Self, wrapped)  # the contexts' sslsocket_class

    def handshake(self, timeout: float | None) -> None:
        """Agree on TLS within `timeout` seconds; raises HandshakeFailed, or what receiving raises."""
        self.setblocking(False)
        deadline = Deadline(timeout, DeadlineExceeded, "no TLS handshake within {:g} seconds")
        self._is_mute = True  # until there is TLS, nothing can be said to the peer
        if self.server_side:  # OpenSSL takes 34 KiB for a handshake, which who is silent need not have
            self._wait(select.POLLIN, deadline.or_earlier(self.overall), self.stop)
        try:
            self._retry(self.do_handshake, select.POLLIN, deadline.or_earlier(self.overall), self.stop)
        except ConnectionLost as lost:
            if isinstance(lost.__cause__, ssl.SSLEOFError):
                raise ConnectionLost("the peer ended it during the TLS handshake") from lost
            if isinstance(lost.__cause__, ssl.SSLError):
                raise HandshakeFailed(_explain(lost.__cause__)) from lost
            raise
        self._is_mute = False

    def _read_now(self, size: int) -> bytes:
        self._never_block()
        return self.recv(size)

    def _write_now(self, data: memoryview) -> int:
        self._never_block()
        return self.send(data)

    def _never_block(self) -> None:
        if self.gettimeout() != 0:
            self.setblocking(False)

    def _say_goodbye(self) -> None:
        # The first call sends close_notify; the peer's own, which it then wants to read, is not waited for here.
        with contextlib.suppress(ssl.SSLWantReadError):
            self.unwrap()


# What OpenSSL makes of bytes that are no TLS record.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
    "RECORD_LAYER_FAILURE",
}


def _explain(error: ssl.SSLError) -> str:
    reason = error.reason or error.strerror or str(error)
    if reason in _NOT_TLS:
        return "the peer does not speak TLS"
    return f"the TLS handshake failed: {reason.replace('_', ' ').lower()}"


def fingerprint(certificate: bytes) -> str:
    """`SHA256:` and the base64 of the hash of a certificate in DER, without padding, as ssh prints one."""
    digest = hashlib.sha256(certificate).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer for a server; raises OSError (ssl.SSLError is one) or ValueError for files that do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, _no_passphrase)
    context.sslsocket_class = SecureMessageSocket
    context.num_tickets = 0  # nobody resumes: a ticket would only be bytes that a client may leave unread
    return context


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted, and nobody is there to be asked for its passphrase")


def client_context() -> ssl.SSLContext:
    """TLS 1.2 or newer for a client that compares the fingerprint itself, before it sends anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = SecureMessageSocket
    return context
