"""The certificate: it is made once, even by many servers at the same time, and it can be used."""

import contextlib
import fcntl
import os
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from common.errors import Unavailable
from common.wire.tls import fingerprint
from server.configuration.certificate import context, ensure, expiry_warning, find_problems, is_interrupted
from tests.support import PorterTestCase


class Certificates(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.certificate, self.key = self.folder / "tls" / "c.pem", self.folder / "tls" / "k.pem"

    def test_both_files_are_private(self) -> None:
        ensure(self.certificate, self.key)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (self.certificate, self.key, self.key.parent)]
        self.assertEqual([0o600, 0o600, 0o700], modes)

    def test_an_existing_pair_is_kept(self) -> None:
        ensure(self.certificate, self.key)
        before = self.certificate.read_bytes(), self.key.read_bytes()
        ensure(self.certificate, self.key)
        self.assertEqual(before, (self.certificate.read_bytes(), self.key.read_bytes()))

    def test_many_simultaneous_starts_make_one_certificate(self) -> None:
        fingerprints = []

        def start() -> None:
            ensure(self.certificate, self.key)
            fingerprints.append(context(self.certificate, self.key)[1])

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((8, 1), (len(fingerprints), len(set(fingerprints))))

    def test_a_kill_at_any_write_does_not_stop_the_next_start(self) -> None:
        class Killed(BaseException):
            pass

        real = Path.replace
        for survived in range(3):
            renamings = iter(range(10))

            def replace(path: Path, target: Path, survived: int = survived, count: Iterator[int] = renamings) -> Path:
                if next(count) == survived:
                    raise Killed
                return real(path, target)

            with mock.patch.object(Path, "replace", replace), self.assertRaises(Killed):
                ensure(self.certificate, self.key)
            self.assertEqual(survived == 2, is_interrupted(self.certificate, self.key))
            ensure(self.certificate, self.key)
            context(self.certificate, self.key)
            self.assertEqual({"c.pem", "k.pem"}, {path.name for path in self.key.parent.glob("[!.]*")})
            self.certificate.unlink()
            self.key.unlink()

    def test_the_fingerprint_of_a_chain_is_that_of_its_first_certificate(self) -> None:
        ensure(self.certificate, self.key)
        first = context(self.certificate, self.key)[1]
        other = self.folder / "tls" / "other.pem"
        ensure(other, self.folder / "tls" / "other-key.pem")
        with self.certificate.open("a") as file:
            file.write(other.read_text())
        self.assertEqual(first, context(self.certificate, self.key)[1])

    def test_a_certificate_that_cannot_be_made_or_used_is_unavailable(self) -> None:
        self.write("file", "")
        with self.assertRaisesRegex(Unavailable, "cannot make the certificate"):
            ensure(self.folder / "file" / "c.pem", self.key)
        ensure(self.certificate, self.key)
        self.certificate.write_text("no certificate")
        with self.assertRaisesRegex(Unavailable, "cannot use the certificate"):
            context(self.certificate, self.key)

    def test_it_is_made_on_a_volume_without_locks(self) -> None:
        with mock.patch.object(fcntl, "flock", side_effect=OSError):
            ensure(self.certificate, self.key)
        context(self.certificate, self.key)

    def test_the_error_says_whose_the_folder_is_and_what_to_do(self) -> None:
        for name in ("mkdir", "exists"):
            error = PermissionError(13, "Permission denied", str(self.folder / "tls"))
            with mock.patch.object(Path, name, side_effect=error), self.assertRaises(Unavailable) as caught:
                ensure(self.certificate, self.key)
            wanted = (
                rf"{self.certificate}: Permission denied; the folder {self.folder} belongs to \S+ \(mode 0700\), "
                r"and this process runs as \S+: change that \(chown, chmod\), or name another place"
            )
            self.assertRegex(str(caught.exception), wanted)

    def test_it_is_good_for_this_machine_under_each_of_its_names(self) -> None:
        for host, names in (
            ("classroom-7.example.org", ["localhost", "classroom-7.example.org", "127.0.0.1", "::1"]),
            ("my_laptop", ["localhost", "127.0.0.1", "::1"]),
            ("10.0.0.1", ["localhost", "127.0.0.1", "::1"]),
            ("", ["localhost", "127.0.0.1", "::1"]),
        ):
            self.certificate.unlink(missing_ok=True)
            with mock.patch.object(os, "uname", return_value=mock.Mock(nodename=host)):
                ensure(self.certificate, self.key)
            for name in names:
                self.verify(name)
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.verify("elsewhere.example.org")

    def verify(self, host: str) -> None:
        """Shake hands as a client that trusts the certificate itself, and checks the name."""
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context(self.certificate, self.key)[0].wrap_bio(arrived, leaving, server_side=True)
        trusting = ssl.create_default_context(cafile=self.certificate)
        client = trusting.wrap_bio(leaving, arrived, server_hostname=host)
        for side in (client, server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()


class Own(PorterTestCase):
    """Certificates of other makes, made by the openssl program."""

    def setUp(self) -> None:
        super().setUp()
        self.certificate, self.key = self.folder / "c.pem", self.folder / "k.pem"

    def openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def make(self, *options: str, kind: str = "rsa:2048", days: int = 365) -> None:
        command = ["req", "-x509", "-newkey", kind, "-out", "c.pem", "-keyout", "k.pem", "-subj", "/CN=x"]
        self.openssl(*command, "-days", str(days), *(options or ["-nodes"]))

    def problems(self) -> dict[str, str]:
        return find_problems(self.certificate, self.key)

    def test_every_form_that_openssl_reads_can_be_used(self) -> None:
        self.make()
        plain, key = self.certificate.read_bytes(), self.key.read_bytes()
        wanted = fingerprint(ssl.PEM_cert_to_DER_cert(plain.decode()))
        self.openssl("x509", "-in", "c.pem", "-trustout", "-addtrust", "serverAuth", "-out", "trusted.pem")
        self.openssl("rsa", "-in", "k.pem", "-traditional", "-out", "traditional.pem")
        for what, certificate, its_key in (
            ("a comment", "Сертификат кафедры\n".encode() + plain, key),
            ("a comment that is no UTF-8", b"\xff\xfe\n" + plain, key),
            ("a byte order mark", b"\xef\xbb\xbf" + plain, key),
            ("TRUSTED CERTIFICATE", (self.folder / "trusted.pem").read_bytes(), key),
            ("X509 CERTIFICATE", plain.replace(b" CERTIFICATE", b" X509 CERTIFICATE"), key),
            ("CRLF", plain.replace(b"\n", b"\r\n"), key.replace(b"\n", b"\r\n")),
            ("the key in the same file", key + plain, key + plain),
            ("RSA PRIVATE KEY", plain, (self.folder / "traditional.pem").read_bytes()),
        ):
            with self.subTest(what):
                self.certificate.write_bytes(certificate)
                self.key.write_bytes(its_key)
                self.assertEqual({}, self.problems())
                self.assertEqual(wanted, context(self.certificate, self.key)[1])
                self.assertIsNone(expiry_warning(self.certificate, self.key))

    def test_every_kind_of_key_can_be_used_and_an_unusable_one_is_a_problem(self) -> None:
        for kind, problem in (("rsa:2048", ""), ("ed25519", ""), ("rsa:1024", "ee key too small")):
            self.make(kind=kind)
            self.assertEqual(bool(problem), bool(self.problems()))
            self.assertIn(problem, self.problems().get("certificate", ""))

    def test_a_pair_that_cannot_be_used_is_a_problem_with_its_reason(self) -> None:
        self.make()
        certificate, key = self.certificate.read_bytes(), self.key.read_bytes()
        self.openssl("x509", "-in", "c.pem", "-outform", "DER", "-out", "c.der")
        self.openssl("genrsa", "-out", "other.pem", "2048")
        self.openssl("genpkey", "-algorithm", "ed25519", "-out", "kind.pem")
        self.openssl("rsa", "-in", "k.pem", "-aes256", "-passout", "pass:x", "-out", "encrypted.pem")
        files = {
            name: (self.folder / name).read_bytes() for name in ("c.der", "other.pem", "kind.pem", "encrypted.pem")
        }
        for wrong, its_key, reason in (
            (b"", key, "the first has no certificate in PEM form"),
            (files["c.der"], key, "the first has no certificate in PEM form"),
            (key, certificate, "the first has no certificate in PEM form"),
            (certificate, b"", "the second has no private key in PEM form"),
            (certificate, files["other.pem"], "the key belongs to another certificate"),
            (certificate, files["kind.pem"], "the key belongs to another certificate"),
            (certificate, files["encrypted.pem"], "the key is encrypted"),
        ):
            with self.subTest(reason):
                self.certificate.write_bytes(wrong)
                self.key.write_bytes(its_key)
                self.assertEqual(["certificate"], [*self.problems()])
                self.assertIn(reason, self.problems()["certificate"])

    def test_what_is_no_file_is_a_problem(self) -> None:
        self.make()
        self.key.unlink()
        os.mkfifo(self.key)  # to open it would wait for its other end
        self.certificate.unlink()
        self.certificate.mkdir()
        found = {"certificate": f"{self.certificate} is not a file", "key": f"{self.key} is not a file"}
        self.assertEqual(found, self.problems())
        self.certificate.rmdir()
        self.assertIn(f"{self.certificate} is missing", self.problems()["certificate"])
        self.key.unlink()
        self.key.symlink_to(self.key)
        self.assertIn(f"{self.key} cannot be read: Too many levels", self.problems()["key"])

    def test_both_may_be_missing_also_where_there_is_no_folder_yet(self) -> None:
        self.assertEqual({}, self.problems())
        self.write("file", "")
        self.assertEqual({}, find_problems(self.folder / "file" / "c", self.folder / "missing" / "k"))

    def test_its_end_is_told_thirty_days_before(self) -> None:
        self.make(days=31)
        self.assertIsNone(expiry_warning(self.certificate, self.key))
        self.make(days=29)
        self.assertRegex(
            expiry_warning(self.certificate, self.key) or "", rf"{self.certificate} expires on \d{{4}}-\d\d-\d\d: rep"
        )

    def test_the_end_of_a_chain_is_that_of_its_first_certificate(self) -> None:
        self.make(days=3650)
        self.certificate.rename(self.folder / "ca.pem")
        self.key.rename(self.folder / "ca-key.pem")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "r.pem", "-subj", "/CN=y")
        self.write("purpose", "extendedKeyUsage = clientAuth\nbasicConstraints = CA:FALSE\n")  # no server's
        sign = ["x509", "-req", "-in", "r.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-set_serial", "1"]
        self.openssl(*sign, "-extfile", "purpose", "-days", "3", "-out", "c.pem")
        with self.certificate.open("a") as file:
            file.write((self.folder / "ca.pem").read_text())
        self.assertEqual({}, self.problems())
        self.assertIn(" expires on ", expiry_warning(self.certificate, self.key) or "")

    def test_one_that_has_expired_is_used_and_told(self) -> None:
        expire(self.certificate, self.key)
        self.assertEqual({}, self.problems())
        self.assertIn("expired on 2020-01-02: replace it", expiry_warning(self.certificate, self.key) or "")


def expire(certificate: Path, key: Path) -> None:
    """Make a pair, and let the certificate be one that ended in the year 2020."""
    ensure(certificate, key)
    folder = certificate.parent
    commands = (
        f"req -new -key {key} -subj /CN=x -out request.pem",
        f"ca -config ca.cnf -batch -selfsign -keyfile {key} -in request.pem -notext -out {certificate} "
        "-startdate 20200101000000Z -enddate 20200102000000Z",
    )
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n"
        "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n"
    )
    (folder / "index").write_text("")
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
