"""The server's certificate and key. They are made at the first start: TLS needs no set-up. It knows no sockets."""

import contextlib
import datetime
import fcntl
import ipaddress
import os
import re
import ssl
import stat
import time
from pathlib import Path

from common.errors import Unavailable
from common.private_files import describe_owner, make_private_folder, write_private_file
from common.wire.tls import client_context, fingerprint, server_context

_LIFETIME = datetime.timedelta(days=3650)
_SOON = 30 * 86400  # seconds before its end in which a certificate should be replaced
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*(?!\d+\Z){_LABEL}")  # RFC 1123, 2.1; not 10.0.0.1


def ensure(certificate: Path, key: Path) -> None:
    """Make both files if both are missing. Raise Unavailable if they cannot be written."""
    try:
        if certificate.exists():
            return
        make_private_folder(certificate.parent)
        folder = os.open(certificate.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # If two servers start at once, the second waits and finds the files. Some network volumes have no locks.
            with contextlib.suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
            if not certificate.exists():
                if not is_interrupted(certificate, key):
                    _make(certificate, key)
                _pending(certificate).replace(certificate)
        finally:
            os.close(folder)
    except PermissionError as error:
        raise Unavailable(
            "cannot make the certificate {file}: {reason}; {owner}: change that (chown, chmod), or name another "
            "place in tls.certificate and tls.key",
            file=certificate,
            reason=error.strerror,
            owner=describe_owner(Path(error.filename or certificate)),
        ) from error
    except OSError as error:
        raise Unavailable(
            "cannot make the certificate {file}: {reason}", file=certificate, reason=error.strerror
        ) from error


def is_interrupted(certificate: Path, key: Path) -> bool:
    """Return whether a server was killed while it made the two files. `ensure` then finishes the work."""
    return key.exists() and _pending(certificate).exists() and not certificate.exists()


def find_problems(certificate: Path, key: Path) -> dict[str, str]:
    """Return what is wrong with the two files, by `certificate` and `key`. Both may be missing: `ensure` makes them.

    The files are only read.
    """
    problems: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, path in (("certificate", certificate), ("key", key)):
        try:
            if stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for its other end
                path.open("rb").close()
            else:
                problems[name] = f"{path} is not a file"
        except (FileNotFoundError, NotADirectoryError):
            missing[name] = f"{path} is missing: there must be both files of the pair, or neither"
        except PermissionError as error:
            problems[name] = (
                f"{path} cannot be read: {error.strerror}; {describe_owner(path)}: change that (chown, chmod)"
            )
        except OSError as error:
            problems[name] = f"{path} cannot be read: {error.strerror}"
    if len(missing) == 1 and (problems or not is_interrupted(certificate, key)):
        problems |= missing
    if not missing and not problems:
        try:
            context(certificate, key)
        except Unavailable as error:
            problems["certificate"] = str(error)
    return problems


def context(certificate: Path, key: Path) -> tuple[ssl.SSLContext, str]:
    """Return a TLS context with these files, and the certificate's fingerprint.

    Raise Unavailable if the files cannot be read or do not belong together.
    """
    try:
        made = server_context(certificate, key)
        shown = _show(made)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise Unavailable(
            "cannot use the certificate {file} with the key {key}: {reason}",
            file=certificate,
            key=key,
            reason=_explain(error, certificate),
        ) from error
    return made, fingerprint(shown.getpeercert(binary_form=True) or b"")


def expiry_warning(certificate: Path, key: Path) -> str | None:
    """Return a sentence if the certificate has expired or will within 30 days, otherwise None. Never raise."""
    try:
        shown = _show(server_context(certificate, key))
        # The library decodes a certificate only where it is verified. This one need not be good, and the connection
        # is over: only the answer to that question changes.
        shown.context.verify_mode = ssl.CERT_REQUIRED
        end = ssl.cert_time_to_seconds(str((shown.getpeercert() or {})["notAfter"]))
    except (OSError, ValueError, KeyError):
        return None  # for example, the files are made later, at the first start
    date = time.strftime("%Y-%m-%d", time.gmtime(end))
    if end <= time.time():
        return f"the certificate {certificate} expired on {date}: replace it, and send HUP to the server"
    if end <= time.time() + _SOON:
        return f"the certificate {certificate} expires on {date}: replace it, and send HUP to the server"
    return None


def _show(made: ssl.SSLContext) -> ssl.SSLObject:
    """Return the client's side of a handshake in memory: it has the certificate that OpenSSL has found in the file.

    The file may have comments, names of the block and further certificates that only OpenSSL understands.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = made.wrap_bio(to_server, to_client, server_side=True)
    client = client_context().wrap_bio(to_client, to_server)
    for side in (client, server, client, server, client):  # TLS 1.2 takes all of them, TLS 1.3 the first three
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client


def _explain(error: Exception, certificate: Path) -> str:
    """Return the reason in words why OpenSSL cannot use a certificate with its key."""
    if not isinstance(error, ssl.SSLError):
        return getattr(error, "strerror", None) or str(error)
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return "the key belongs to another certificate"
    if error.reason is not None:
        return error.reason.replace("_", " ").lower()
    try:  # OpenSSL does not say in which of the files it has found nothing
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return "the first has no certificate in PEM form"
    return "the second has no private key in PEM form"


def _pending(certificate: Path) -> Path:
    return certificate.with_name(f"{certificate.name}.new")


def _make(certificate: Path, key: Path) -> None:
    # Imported here: this costs 36 ms and 16 MiB, and only the first start needs it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Porter")])
    host = os.uname().nodename
    hosts = dict.fromkeys(["localhost", *([host] if _HOST_NAME.fullmatch(host) else [])])
    addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    names = [*map(x509.DNSName, hosts), *map(x509.IPAddress, addresses)]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
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
