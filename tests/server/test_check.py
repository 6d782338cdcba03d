"""./run.sh check: a right and a wrong configuration, and no side effects."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from server.configuration.certificate import ensure
from tests.server.configuration.test_certificate import expire
from tests.support import PATIENCE, UNPRIVILEGED, PorterTestCase, environment, run_program, take_away, wait_until


class Check(PorterTestCase):
    tls = True

    def test_a_right_configuration_gives_status_0_and_creates_nothing(self) -> None:
        path = self.write_configuration(mode="auth")
        before = {p: p.stat().st_mtime_ns for p in self.folder.rglob("*")}
        done = run_program(self.folder, "server.check", "--config", path.name)
        self.assertEqual(
            (0, "server.yaml: the configuration is right\n", ""), (done.returncode, done.stdout, done.stderr)
        )
        self.assertEqual(before, {p: p.stat().st_mtime_ns for p in self.folder.rglob("*")})

    def test_a_wrong_configuration_gives_status_78_with_every_problem(self) -> None:
        self.write("server.yaml", "prot: 1\nmode: nosuch\n")
        done = run_program(self.folder, "server.check", PORTER_CONFIG="server.yaml")
        self.assertEqual((78, "", 2), (done.returncode, done.stdout, done.stderr.count("\n")))

    def test_the_projects_own_configuration_is_right(self) -> None:
        self.assertEqual(0, run_program(self.folder, "server.check").returncode)


class Certificate(PorterTestCase):
    tls = True

    def setUp(self) -> None:
        super().setUp()
        self.certificate, self.key = (self.folder / "data" / "tls" / name for name in ("certificate.pem", "key.pem"))

    def run_unprivileged(self, module: str) -> tuple[int, str, str]:
        """Return status, standard output and standard error of a program that ends by itself."""
        command = [*UNPRIVILEGED, sys.executable, "-P", "-m", module, "--config", "server.yaml"]
        done = subprocess.run(
            command, cwd=self.folder, env=environment(self.folder), capture_output=True, text=True, timeout=PATIENCE
        )
        return done.returncode, done.stdout, done.stderr

    def check(self) -> tuple[int, str, str]:
        return self.run_unprivileged("server.check")

    def take_away(self, path: Path) -> None:
        mode = path.stat().st_mode
        take_away(path)
        self.addCleanup(path.chmod, mode)

    def test_a_pair_in_a_folder_that_cannot_be_entered_is_a_problem_beside_all_others(self) -> None:
        ensure(self.certificate, self.key)
        self.write_configuration(mode="nosuch")
        self.take_away(self.certificate.parent)
        for status, printed, errors in map(self.run_unprivileged, ("server.check", "server")):
            self.assertEqual((78, ""), (status, printed), errors)
            for text in (
                r"^server\.yaml:\d+:\d+: mode: 'nosuch' is not one of the handlers",
                rf"^server\.yaml:\d+:\d+: tls\.certificate: {self.certificate} cannot be read: Permission denied; "
                rf"the folder {self.certificate.parent} belongs to .* \(mode \d+\), and this process runs as .*",
                rf"^server\.yaml:\d+:\d+: tls\.key: {self.key} cannot be read: Permission denied; ",
            ):
                self.assertRegex(errors, f"(?m){text}")
            self.assertEqual(3, errors.count("\n"), errors)

    def test_a_key_that_cannot_be_read_is_a_problem_at_the_key(self) -> None:
        ensure(self.certificate, self.key)
        self.write_configuration(mode="echo")
        self.take_away(self.key)
        status, _, errors = self.check()
        self.assertEqual(78, status)
        wanted = (
            rf"\Aserver\.yaml:\d+:\d+: tls\.key: {self.key} cannot be read: Permission denied; it belongs to .*\n\Z"
        )
        self.assertRegex(errors, wanted)

    def test_after_hup_the_same_is_one_line_in_the_log_for_each_file(self) -> None:
        server = self.start_process(mode="echo", under=UNPRIVILEGED)
        self.take_away(self.certificate.parent)
        server.signal(signal.SIGHUP)
        server.wait_for_log("tls.key: ")
        log = server.log()
        self.assertRegex(
            log, r"ERROR - not reloaded: \S*server\.yaml:\d+:\d+: tls\.certificate: .* cannot be read: Per"
        )
        self.assertRegex(
            log, r"ERROR - not reloaded: \S*server\.yaml:\d+:\d+: tls\.key: .* cannot be read: Permission"
        )
        self.assertNotIn("Traceback", log)
        server.connect().close()

    def test_a_start_that_cannot_make_the_pair_says_whose_the_folder_is(self) -> None:
        self.write_configuration(mode="echo")
        (self.folder / "data").mkdir()
        self.take_away(self.folder / "data")
        status, printed, errors = self.run_unprivileged("server")
        self.assertEqual((78 if os.geteuid() else 69, ""), (status, printed), errors)
        self.assertRegex(
            errors, r"Permission denied; the folder \S+/data belongs to .* \(mode \d+\), and this process"
        )

    def test_a_pair_that_does_not_fit_is_a_problem(self) -> None:
        ensure(self.certificate, self.key)
        ensure(self.folder / "other.pem", self.folder / "other-key.pem")
        (self.folder / "other-key.pem").replace(self.key)
        self.write_configuration(mode="echo")
        status, _, errors = self.check()
        self.assertEqual(78, status)
        self.assertRegex(errors, r"tls\.certificate: cannot use the certificate .*: the key belongs to another cert")

    def test_a_certificate_that_has_expired_is_a_warning(self) -> None:
        self.certificate.parent.mkdir(parents=True)
        expire(self.certificate, self.key)
        self.write_configuration(mode="echo")
        status, printed, errors = self.check()
        self.assertEqual((0, "server.yaml: the configuration is right\n", 1), (status, printed, errors.count("\n")))
        self.assertIn(f"porter: warning: the certificate {self.certificate} expired on 2020-01-02", errors)

    def test_the_log_warns_of_it_at_the_start_and_after_hup_also_once_for_all_workers(self) -> None:
        self.certificate.parent.mkdir(parents=True)
        expire(self.certificate, self.key)
        for workers in (1, 2):
            with contextlib.suppress(FileNotFoundError):
                (self.folder / "server.log").unlink()
            server = self.start_process(mode="echo", workers=workers)
            warning = f"WARNING - the certificate {self.certificate} expired on 2020-01-02"
            server.wait_for_log(warning)
            server.connect().close()
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.log().count(warning) == 2, "a second warning")  # noqa: B023  # called at once
            self.assertEqual(0, server.stop()[0])
            self.assertEqual(2, server.log().count(warning))
