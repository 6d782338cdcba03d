"""TLS for both sides: contexts whose sockets speak messages, and the fingerprint that names a certificate.

Trust is by fingerprint, as with ssh: there is no authority, so the client checks the certificate itself
(client/trust.py). Nothing here makes a certificate or keeps one.
"""

import base64
import hashlib
import ssl
from pathlib import Path

from common.sockets import SecureMessageSocket


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
