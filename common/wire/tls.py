"""TLS for both sides: between messages and wire, the TLS contexts, and the fingerprint of a certificate.

Trust is by fingerprint, as with ssh, which the client checks itself (client/trust.py), unless the user names an
authority. This module neither makes certificates nor stores them.
"""

import base64
import contextlib
import hashlib
import os
import ssl
from pathlib import Path

from common.errors import ConnectionLost, HandshakeFailed, TrustError

# How an end of the stream without close_notify is told: the second by CPython 3.11.2, as Debian 12 has it.
_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_HEADER, _CHUNK = 5, 16384  # bytes: the header of a TLS record, and the most text that one holds (RFC 8446, 5.1)
# TLS gets one record at a time. Its buffers grow to the size of their input, and never shrink again.
_RECORD = _HEADER + _CHUNK + 17  # bytes: a usual full record, with type and tag (RFC 8446, 5.2)
# We send smaller records: the buffer of a full one would take 22 KiB as long as the connection is open, this one 16.
_SENT = 12288  # bytes
# For TLS 1.2: forward secrecy and no CBC, which scanners complain of (RFC 9325, 4.2). TLS 1.3 has no others.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Tls:
    """TLS between clear bytes and the bytes on the wire. It touches no socket, so its owner waits as it likes.

    The faults of ssl.SSLSocket are avoided: its shutdown() sends the next bytes in clear (cpython#124618).
    `has_ended` tells whether the peer has ended with close_notify, `has_part` whether a part of a record has come.
    Only one thread may use it at a time.
    """

    __slots__ = ("_arrived", "_leaving", "_object", "has_ended", "has_part", "is_agreed")

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None = None) -> None:
        """Begin as server or as client; `context` decides. Raise ValueError for a host name that TLS forbids."""
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        is_server = context.protocol is ssl.PROTOCOL_TLS_SERVER
        self._object = context.wrap_bio(self._arrived, self._leaving, is_server, server_hostname)
        self.is_agreed = self.has_ended = self.has_part = False

    def shake_hands(self, data: bytes) -> None:
        """Continue the handshake with bytes that have come. `is_agreed` tells whether it is done.

        What must be sent is in `leaving`, also after an error. Raise HandshakeFailed if the handshake fails, and
        TrustError if an authority does not sign for the peer.
        """
        self._arrived.write(data)
        try:
            self._object.do_handshake()
            self.is_agreed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise _explained(error) from error

    def leaving(self) -> bytes:
        """Return, once, the bytes that TLS itself wants to send: of a handshake, an alert, an answer to new keys."""
        return self._leaving.read() if self._leaving.pending else b""

    def decipher(self, data: bytes) -> bytes:
        """Return the clear bytes of the records that `data` completes. Raise ConnectionLost for a wrong record."""
        pieces: list[bytes] = []
        is_new = bool(data or self._arrived.pending)  # after a handshake, TLS may hold bytes already
        view = memoryview(data)
        for start in range(0, len(data), _RECORD) or (0,):
            self._arrived.write(view[start : start + _RECORD])
            self._read_records(pieces)
        # One complete record without clear bytes is a message of TLS itself, such as new keys (RFC 8446, 4.6.3).
        if is_new:
            self.has_part = not pieces and (self.has_part or len(data) != _HEADER + int.from_bytes(data[3:_HEADER]))
        return b"".join(pieces)

    def encipher(self, data: bytes) -> bytes:
        """Return the records of clear bytes. Raise ConnectionLost if there is no TLS to send them with."""
        if not self.is_agreed:
            raise ConnectionLost("there is no TLS to send it with")
        view = memoryview(data)
        records = []
        try:
            for start in range(0, len(data), _SENT):
                self._object.write(view[start : start + _SENT])  # takes all: the buffer in memory has no limit
                records.append(self._leaving.read())
        except ssl.SSLError as error:
            raise ConnectionLost("{reason}", reason=error.strerror or error) from error
        return b"".join(records)

    def goodbye(self) -> bytes:
        """Return our close_notify. Nothing may be enciphered after it; the peer may go on."""
        if self.is_agreed:
            # unwrap() then wants to read the peer's close_notify; we do not wait for that.
            with contextlib.suppress(ssl.SSLError):
                self._object.unwrap()
        return self.leaving()

    def check_end(self) -> None:
        """Raise ConnectionLost if the stream ends now without close_notify: somebody else may have cut it."""
        if not self.is_agreed:
            raise ConnectionLost("the peer ended the connection during the TLS handshake")
        if not self.has_ended:
            raise ConnectionLost("the peer ended the connection without close_notify")

    def peer_certificate(self) -> bytes:
        """Return the certificate of the peer in DER, or b"" if it has shown none."""
        return self._object.getpeercert(binary_form=True) or b""

    @property
    def version(self) -> str:
        return self._object.version() or "no TLS yet"

    @property
    def cipher(self) -> str:
        chosen = self._object.cipher()
        return chosen[0] if chosen else "no cipher yet"

    def _read_records(self, pieces: list[bytes]) -> None:
        """Append the clear bytes of the complete records, piece by piece."""
        try:
            while not self.has_ended:
                piece = self._object.read(_CHUNK)
                if not piece:
                    self.has_ended = True  # close_notify: more bytes may still come on the wire
                    return
                pieces.append(piece)
                if not self._arrived.pending:
                    return
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # close_notify, after ours
            self.has_ended = True
        except ssl.SSLError as error:
            raise ConnectionLost("{reason}", reason=error.strerror or error) from error


# OpenSSL's reasons for bytes that are not a TLS record.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
    "RECORD_LAYER_FAILURE",
}


def _explained(error: ssl.SSLError) -> HandshakeFailed | TrustError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TrustError("{reason}", reason=error.verify_message)
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


def write_keys(context: ssl.SSLContext) -> str | None:
    """Have the keys of TLS written to the file that SSLKEYLOGFILE names, as browsers do, for teaching.

    Return a sentence for the log, or None if nobody wants them. With the file, Wireshark shows what was said.
    """
    file = os.environ.get("SSLKEYLOGFILE")
    if not file:
        return None
    try:
        context.keylog_filename = file
    except OSError as error:
        return f"the keys of TLS cannot be written to {file} (SSLKEYLOGFILE): {error.strerror}"
    return f"THE KEYS OF TLS ARE WRITTEN TO {file} (SSLKEYLOGFILE): whoever has that file can read what is said"


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted, and nobody is there to be asked for its passphrase")


def client_context(authority: Path | None = None) -> ssl.SSLContext:
    """Return a context for a client, with TLS 1.2 or newer.

    With `authority`, a file, the handshake raises TrustError unless one in it has signed the certificate, and that
    names the host. Without it, the client must check the fingerprint before it sends. Raise OSError (ssl.SSLError is
    one) if the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(authority)
    return context
