"""The server's certificate and key. They are made at the first start: TLS needs no set-up. It knows no sockets."""

import datetime
import fcntl
import os
import ssl
from pathlib import Path

from common.errors import Unavailable
from common.private_files import make_private_folder, write_private_file
from common.wire.tls import fingerprint, server_context

_LIFETIME = datetime.timedelta(days=3650)


def ensure(certificate: Path, key: Path) -> None:
    """Make both files if both are missing. Raise Unavailable if they cannot be written."""
    if certificate.exists():
        return
    try:
        make_private_folder(certificate.parent)
        folder = os.open(certificate.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # if two servers start at once, the second waits and finds the files
            if not certificate.exists():
                if not is_interrupted(certificate, key):
                    _make(certificate, key)
                _pending(certificate).replace(certificate)
        finally:
            os.close(folder)
    except OSError as error:
        raise Unavailable(
            "cannot make the certificate {file}: {reason}", file=certificate, reason=error.strerror
        ) from error


def is_interrupted(certificate: Path, key: Path) -> bool:
    """Return whether a server was killed while it made the two files. `ensure` then finishes the work."""
    return key.exists() and _pending(certificate).exists() and not certificate.exists()


def context(certificate: Path, key: Path) -> tuple[ssl.SSLContext, str]:
    """Return a TLS context with these files, and the certificate's fingerprint.

    Raise Unavailable if the files cannot be read or do not belong together.
    """
    try:
        made = server_context(certificate, key)
        return made, fingerprint(ssl.PEM_cert_to_DER_cert(_first_certificate(certificate.read_text("ascii"))))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise Unavailable(
            "cannot use the certificate {file} with the key {key}: {reason}", file=certificate, key=key, reason=error
        ) from error


def _first_certificate(text: str) -> str:
    """Return the server's own certificate, without the others of a chain that may follow it."""
    start = text.index(ssl.PEM_HEADER)
    return text[start : text.index(ssl.PEM_FOOTER, start) + len(ssl.PEM_FOOTER)] + "\n"


def _pending(certificate: Path) -> Path:
    return certificate.with_name(f"{certificate.name}.new")


def _make(certificate: Path, key: Path) -> None:
    # Imported here: this costs 36 ms and 16 MiB, and only the first start needs it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Porter")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    # The key is written last. A server that is killed before it leaves no key, so the next start makes both anew; one
    # that is killed after it leaves a certificate that only needs its final name.
    write_private_file(_pending(certificate), made.public_bytes(serialization.Encoding.PEM))
    write_private_file(
        key,
        private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
