"""TLS for both sides: the socket, the contexts that make it, and the fingerprint that names a certificate.

Trust is by fingerprint, as with ssh: there is no authority, so the client checks the certificate itself
(client/trust.py). Nothing here makes a certificate or keeps one.
"""

import base64
import contextlib
import hashlib
import select
import ssl
from pathlib import Path
from typing import Any, NoReturn

from common.errors import ConnectionLost, DeadlineExceeded, HandshakeFailed
from common.wire.deadline import Deadline
from common.wire.sockets import MessageSocket
from common.wire.waiting import LARGEST_CHUNK

_NO_HANDSHAKE = "no TLS handshake within {:g} seconds"
_HEADER, _CHUNK = 5, 16384  # of a record of TLS, and what one holds (RFC 8446, 5.1)
# One at a time passes through: TLS keeps a buffer of as much, each way, for as long as the connection lives.
_RECORD = _HEADER + _CHUNK + 17  # with type and tag, as most are that are full (RFC 8446, 5.2)
_MOST_AT_ONCE = 2 * _CHUNK  # to be sent


class SecureMessageSocket(MessageSocket):
    """The same over TLS, which stands between its messages and the bytes on the wire.

    What arrives is put into TLS, and what TLS makes is sent: it never touches the socket itself. So there is one way
    to wait for both kinds of sockets, what wakes a wait leaves TLS intact for a farewell, and nothing here has the
    faults of ssl.SSLSocket, whose shutdown() makes the next bytes leave in clear text (cpython#124618).
    """

    __slots__ = ("_arrived", "_has_part", "_is_agreed", "_leaving", "_tls")

    _tls: ssl.SSLObject

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._is_agreed = self._has_part = False

    def handshake(self, context: ssl.SSLContext, timeout: float | None, server_hostname: str | None = None) -> None:
        """Agree on TLS within `timeout` seconds, on the side that `context` is for.

        Raises HandshakeFailed, ValueError for a name that TLS cannot bear, or what receiving raises.
        """
        deadline = Deadline(timeout, DeadlineExceeded, _NO_HANDSHAKE).or_earlier(self.overall)
        is_server = context.protocol is ssl.PROTOCOL_TLS_SERVER
        if is_server:  # OpenSSL takes 34 KiB for a handshake, which who is silent need not have
            self._wait(select.POLLIN, deadline, self.stop)
        self._tls = context.wrap_bio(self._arrived, self._leaving, is_server, server_hostname)
        try:
            self._retry(self._shake_hands, select.POLLIN, deadline, self.stop)
        except ConnectionLost as lost:
            if isinstance(lost.__cause__, ssl.SSLEOFError):
                raise ConnectionLost("the peer ended it during the TLS handshake") from lost
            if isinstance(lost.__cause__, ssl.SSLError):
                raise HandshakeFailed(_explain(lost.__cause__)) from lost
            raise
        self._is_agreed = True
        if self._arrived.pending:  # what the peer sent right behind it
            clear = self._read_records()
            self._has_part = not clear
            if clear:
                self._take_in(b"".join(clear))

    def peer_certificate(self) -> bytes:
        """In DER; empty if the peer has shown none."""
        return self._tls.getpeercert(binary_form=True) or b""

    def _shake_hands(self) -> None:
        """Go on as far as it goes; raises BlockingIOError when it is the peer's turn."""
        while True:
            try:
                self._tls.do_handshake()
                self._let_out()
                return
            except ssl.SSLWantReadError:
                self._let_out()
            except ssl.SSLError:
                with contextlib.suppress(ConnectionLost):  # an alert for the peer, who may be gone
                    self._let_out()
                raise
            self._let_in(super()._read_now(_CHUNK))

    def _wait_and_read(self) -> bytes | None:
        if self.has_ended or (data := super()._wait_and_read()) is None:
            return None
        return self._decipher(data)

    def _read_now(self, size: int) -> bytes:
        if self.has_ended:
            return b""
        clear = self._decipher(super()._read_now(size))
        if clear is None:
            raise BlockingIOError
        return clear

    def _next_chunk(self, head: bytes) -> int:
        # Full records are of a large message, which is then taken with all that TLS adds to it.
        return LARGEST_CHUNK + 512 if int.from_bytes(head[3:]) > _CHUNK else _CHUNK

    def _await_bytes(self, count: int, deadline: Deadline) -> None:
        pass  # a part of them may have been taken in, as a part of a record

    def _has_begun(self) -> bool:
        return self._has_part or super()._has_begun()

    def _decipher(self, data: bytes) -> bytes | None:
        """All that is in clear with these bytes; nothing at the end, None as long as no record is whole."""
        if not data and self._has_ended_input:
            return data  # it is we who have ended it: TLS knows of no end, and a farewell can be said
        self._let_in(data[:_RECORD])
        clear = self._read_records()
        for start in range(_RECORD, len(data), _RECORD):
            self._let_in(data[start : start + _RECORD])
            clear += self._read_records()
        # One whole record without anything in clear is TLS's own, such as new keys (RFC 8446, 4.6.3).
        self._has_part = not clear and (self._has_part or len(data) != _HEADER + int.from_bytes(data[3:_HEADER]))
        return b"".join(clear) if clear else None

    def _read_records(self) -> list[bytes]:
        """What is in clear of the records that are here, piece by piece; an empty piece is the peer's end."""
        pieces: list[bytes] = []
        try:
            while not pieces or self._arrived.pending:
                pieces.append(self._tls.read(_CHUNK))
                if not pieces[-1]:
                    self.has_ended = True  # close_notify; the bytes on the wire need not end with it
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise self._lost(error) from error
        if self._leaving.pending:
            self._let_out()  # what TLS itself answers
        return pieces

    def _send_all(self, data: bytes, deadline: Deadline | None = None) -> None:
        if not self._is_agreed:
            raise ConnectionLost("there is no TLS to send it with")
        if len(data) <= _CHUNK:
            super()._send_all(self._encipher(data), deadline)
            return
        deadline = deadline or self._deadline_to_send()
        view = memoryview(data)
        for start in range(0, len(data), _MOST_AT_ONCE):
            part = view[start : start + _MOST_AT_ONCE]
            super()._send_all(
                b"".join([self._encipher(part[at : at + _CHUNK]) for at in range(0, len(part), _CHUNK)]), deadline
            )

    def _encipher(self, data: bytes | memoryview) -> bytes:
        try:
            self._tls.write(data)  # all of it: there is always room in memory
        except ssl.SSLError as error:
            raise self._lost(error) from error
        return self._leaving.read()

    def _say_goodbye(self) -> None:
        if self._is_agreed:
            # This makes close_notify; the peer's own, which it then wants to read, is not waited for here.
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self._let_out()

    def _let_in(self, data: bytes) -> None:
        if data:
            self._arrived.write(data)
        else:
            self._arrived.write_eof()

    def _let_out(self) -> None:
        super()._send_all(self._leaving.read())

    def _lost(self, error: OSError) -> ConnectionLost:
        if isinstance(error, ssl.SSLEOFError):
            return ConnectionLost("the peer ended it without close_notify")
        return super()._lost(error)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("these bytes would pass TLS by: use send_message and receive_message")

    recv = recv_into = recvfrom = recvfrom_into = recvmsg = recvmsg_into = _refuse
    send = sendall = sendto = sendmsg = sendmsg_afalg = sendfile = makefile = _refuse


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
    return context
