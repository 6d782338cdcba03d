"""TLS for both sides: the socket, the TLS contexts, and the fingerprint of a certificate.

Trust is by fingerprint, as with ssh: there is no authority, and the client checks the certificate itself
(client/trust.py). This module neither makes certificates nor stores them.
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

# How an end of the stream without close_notify is told: the second by CPython 3.11.2, as Debian 12 has it.
_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_NO_HANDSHAKE = "the TLS handshake was not complete after {seconds:g} seconds"
_HEADER, _CHUNK = 5, 16384  # bytes: the header of a TLS record, and the most text that one holds (RFC 8446, 5.1)
# TLS gets one record at a time. Its buffers grow to the size of their input, and never shrink again.
_RECORD = _HEADER + _CHUNK + 17  # bytes: a usual full record, with type and tag (RFC 8446, 5.2)
_MOST_AT_ONCE = 2 * _CHUNK  # bytes of text that are encrypted and sent at a time
# For TLS 1.2: forward secrecy and no CBC, which scanners complain of (RFC 9325, 4.2). TLS 1.3 has no others.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class SecureMessageSocket(MessageSocket):
    """A MessageSocket with TLS between its messages and the bytes on the wire.

    Bytes from the wire are put into TLS, and bytes that TLS makes are sent: TLS never touches the socket itself. So
    both kinds of sockets wait in the same way. A wait that is woken leaves TLS intact, and close_notify can still be
    sent. And the faults of ssl.SSLSocket are avoided: its shutdown() sends the next bytes in clear (cpython#124618).
    """

    __slots__ = ("_arrived", "_has_part", "_is_agreed", "_leaving", "_tls")

    _tls: ssl.SSLObject

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._is_agreed = self._has_part = False

    def handshake(self, context: ssl.SSLContext, timeout: float | None, server_hostname: str | None = None) -> None:
        """Make the TLS handshake within `timeout` seconds. `context` decides whether as server or as client.

        Raise HandshakeFailed if it fails, ValueError for a host name that TLS does not allow, and what
        `receive_message` raises.
        """
        deadline = Deadline(timeout, DeadlineExceeded, _NO_HANDSHAKE).or_earlier(self.overall)
        is_server = context.protocol is ssl.PROTOCOL_TLS_SERVER
        if is_server:
            # Wait for the first byte: a handshake costs 34 KiB, and a silent client must not.
            self._wait(select.POLLIN, deadline, self.stop)
        self._tls = context.wrap_bio(self._arrived, self._leaving, is_server, server_hostname)
        try:
            self._retry(self._shake_hands, select.POLLIN, deadline, self.stop)
        except ConnectionLost as lost:
            if isinstance(lost.__cause__, _ENDED):
                raise ConnectionLost("the peer ended the connection during the TLS handshake") from lost
            if isinstance(lost.__cause__, ssl.SSLError):
                raise _explained(lost.__cause__) from lost
            raise
        self._is_agreed = True
        if self._arrived.pending:  # the peer sent more, right after the handshake
            clear = self._read_records()
            self._has_part = not clear
            if clear:
                self._take_in(b"".join(clear))

    def peer_certificate(self) -> bytes:
        """Return the certificate of the peer in DER, or b"" if it has shown none."""
        return self._tls.getpeercert(binary_form=True) or b""

    @property
    def tls_version(self) -> str:
        return self._tls.version() or "no TLS yet"

    @property
    def cipher(self) -> str:
        chosen = self._tls.cipher()
        return chosen[0] if chosen else "no cipher yet"

    def _shake_hands(self) -> None:
        """Continue the handshake as far as possible. Raise BlockingIOError when it is the peer's turn."""
        while True:
            try:
                self._tls.do_handshake()
                self._let_out()
                return
            except ssl.SSLWantReadError:
                self._let_out()
            except ssl.SSLError:
                with contextlib.suppress(ConnectionLost):  # send an alert to the peer, which may be gone
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
        # A full record belongs to a large message: then read the whole message, with the bytes that TLS adds.
        return LARGEST_CHUNK + 512 if int.from_bytes(head[3:]) > _CHUNK else _CHUNK

    def _await_bytes(self, count: int, deadline: Deadline) -> None:
        pass  # some of the bytes may be inside TLS already, in an incomplete record: the kernel cannot count them

    def _has_begun(self) -> bool:
        return self._has_part or super()._has_begun()

    def _decipher(self, data: bytes) -> bytes | None:
        """Decrypt `data`. Return the clear bytes, b"" at the end of the stream, or None if no record is complete."""
        if not data and self._has_ended_input:
            return data  # we ended the input ourselves: TLS does not learn of it, and close_notify can still be sent
        self._let_in(data[:_RECORD])
        clear = self._read_records()
        for start in range(_RECORD, len(data), _RECORD):
            self._let_in(data[start : start + _RECORD])
            clear += self._read_records()
        # One complete record without clear bytes is a message of TLS itself, such as new keys (RFC 8446, 4.6.3).
        self._has_part = not clear and (self._has_part or len(data) != _HEADER + int.from_bytes(data[3:_HEADER]))
        return b"".join(clear) if clear else None

    def _read_records(self) -> list[bytes]:
        """Return the clear bytes of the complete records, piece by piece. An empty piece is the end of the stream."""
        pieces: list[bytes] = []
        try:
            while not pieces or self._arrived.pending:
                pieces.append(self._tls.read(_CHUNK))
                if not pieces[-1]:
                    if self._arrived.eof:  # CPython 3.11.2 takes it for close_notify
                        raise ssl.SSLEOFError
                    self.has_ended = True  # close_notify: more bytes may still come on the wire
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLZeroReturnError) or self._arrived.eof:
                raise self._lost(error) from error
            pieces.append(b"")  # close_notify, after ours
            self.has_ended = True
        if self._leaving.pending:
            self._let_out()  # an answer that TLS itself gives
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
            self._tls.write(data)  # this takes all of it: the buffer in memory has no limit
        except ssl.SSLError as error:
            raise self._lost(error) from error
        return self._leaving.read()

    def _say_goodbye(self) -> None:
        if self._is_agreed:
            # This makes our close_notify. It then wants to read the peer's close_notify; we do not wait for that.
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
        if isinstance(error, _ENDED):
            return ConnectionLost("the peer ended the connection without close_notify")
        return super()._lost(error)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("these bytes would pass TLS by: use send_message and receive_message")

    recv = recv_into = recvfrom = recvfrom_into = recvmsg = recvmsg_into = _refuse
    send = sendall = sendto = sendmsg = sendmsg_afalg = sendfile = makefile = _refuse


# OpenSSL's reasons for bytes that are not a TLS record.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
    "RECORD_LAYER_FAILURE",
}


def _explained(error: ssl.SSLError) -> HandshakeFailed:
    reason = error.reason or error.strerror or str(error)
    if reason in _NOT_TLS:
        return HandshakeFailed("the peer does not speak TLS")
    return HandshakeFailed("the TLS handshake failed: {reason}", reason=reason.replace("_", " ").lower())


def fingerprint(certificate: bytes) -> str:
    """Return the fingerprint of a certificate in DER, as ssh prints it: `SHA256:` and base64 without padding."""
    digest = hashlib.sha256(certificate).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context for a server, with TLS 1.2 or newer. The files are in PEM, in any form that OpenSSL reads.

    Raise OSError (ssl.SSLError is one) or ValueError if the files cannot be used or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.load_cert_chain(certificate, key, _no_passphrase)
    context.num_tickets = 0  # clients do not resume TLS sessions, and a client may leave the bytes of a ticket unread
    return context


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted, and nobody is there to be asked for its passphrase")


def client_context() -> ssl.SSLContext:
    """Return a context for a client, with TLS 1.2 or newer. The client must check the fingerprint before it sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
