"""TLS: contexts of 1.2 or newer, and the fingerprint as ssh prints one."""

import hashlib
import ssl
import subprocess

from common.sockets import SecureMessageSocket
from common.tls import client_context, fingerprint, server_context
from server.certificate import ensure
from tests.support import PorterTestCase


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
