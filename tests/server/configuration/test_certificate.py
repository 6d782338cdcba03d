"""The certificate: it is made once, even by many servers at the same time, and it can be used."""

import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from common.errors import Unavailable
from server.configuration.certificate import context, ensure, is_interrupted
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
