"""TLS: contexts of 1.2 or newer, handshakes that fail, and the fingerprint as ssh prints one.

What the socket shares with the plain one is in test_sockets.py.
"""

import contextlib
import hashlib
import socket
import ssl
import subprocess
import threading
import warnings

from common.errors import ConnectionLost, DeadlineExceeded, HandshakeFailed
from common.framing import encode
from common.tls import SecureMessageSocket, client_context, fingerprint, server_context
from server.certificate import ensure
from tests.support import PATIENCE, PorterTestCase


class Tls(PorterTestCase):
    def test_the_fingerprint_is_sha256_in_base64_without_padding(self) -> None:
        self.assertEqual("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", fingerprint(b""))

    def test_it_is_that_of_openssl(self) -> None:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        command = ["openssl", "x509", "-in", str(certificate), "-outform", "DER"]
        der = subprocess.run(command, capture_output=True, check=True).stdout
        self.assertEqual(der, ssl.PEM_cert_to_DER_cert(certificate.read_text()))
        self.assertEqual(32, len(hashlib.sha256(der).digest()))

    def test_nothing_older_than_tls_1_2(self) -> None:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        for context in (server_context(certificate, key), client_context()):
            self.assertEqual(ssl.TLSVersion.TLSv1_2, context.minimum_version)
            self.assertIs(SecureMessageSocket, context.sslsocket_class)

    def test_a_key_that_does_not_fit_is_an_error(self) -> None:
        ensure(self.folder / "a.pem", self.folder / "ak.pem")
        ensure(self.folder / "b.pem", self.folder / "bk.pem")
        with self.assertRaises(ssl.SSLError):
            server_context(self.folder / "a.pem", self.folder / "bk.pem")


class Handshakes(PorterTestCase):
    def secured(self) -> tuple[SecureMessageSocket, socket.socket]:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        first, second = socket.socketpair()
        self.addCleanup(second.close)
        ours = SecureMessageSocket.wrap(first, server_context(certificate, key), server_side=True)
        self.addCleanup(ours.close)
        return ours, second

    def test_a_silent_peer_is_waited_for_until_the_timeout(self) -> None:
        ours, _ = self.secured()
        with self.assertRaisesRegex(DeadlineExceeded, r"no TLS handshake within 0\.05 seconds"):
            ours.handshake(0.05)

    def test_a_peer_that_does_not_speak_tls_is_told_from_other_failures(self) -> None:
        ours, theirs = self.secured()
        theirs.sendall(encode("TEXT hello"))
        with self.assertRaisesRegex(HandshakeFailed, "does not speak TLS"):
            ours.handshake(PATIENCE)

    def test_nothing_is_sent_in_clear_after_a_failure(self) -> None:
        ours, theirs = self.secured()
        theirs.sendall(encode("TEXT hello"))
        with self.assertRaises(HandshakeFailed):
            ours.handshake(PATIENCE)
        with self.assertRaises(ConnectionLost):
            ours.send_message("secret")
        ours.finish(linger=0)
        self.assertNotIn(b"secret", theirs.recv(1000))

    def test_other_failures_say_what_tls_says(self) -> None:
        ours, theirs = self.secured()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings(action="ignore"):  # that it is deprecated is the point
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")

        def try_old() -> None:
            with contextlib.suppress(OSError):
                old.wrap_socket(theirs).close()

        trying = threading.Thread(target=try_old)
        trying.start()
        with self.assertRaisesRegex(HandshakeFailed, "unsupported protocol"):
            ours.handshake(PATIENCE)
        ours.finish(linger=0)
        trying.join(PATIENCE)

    def test_a_peer_that_goes_away_is_a_lost_connection_or_a_failed_handshake(self) -> None:
        ours, theirs = self.secured()
        theirs.close()
        with self.assertRaises((ConnectionLost, HandshakeFailed)):
            ours.handshake(PATIENCE)

    def test_a_client_that_meets_a_plain_server_says_so(self) -> None:
        first, second = socket.socketpair()
        self.addCleanup(second.close)
        client = SecureMessageSocket.wrap(first, client_context())
        self.addCleanup(client.close)
        second.sendall(encode("ERROR this is TLS, but the connection is plain"))
        with self.assertRaisesRegex(HandshakeFailed, "does not speak TLS"):
            client.handshake(PATIENCE)
