"""The server as a process: its command line, its exit statuses, its reload, and its questions on a terminal."""

import os
import signal
import socket
import subprocess
import sys
from typing import Any

import pexpect

from common import VERSION
from common.wire.kinds import Kind
from common.wire.tls import fingerprint
from tests.support import PATIENCE, PorterTestCase, connect, environment, run_program, wait_until


class CommandLine(PorterTestCase):
    def server_status(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        done = run_program(self.folder, "server", *arguments, **more)
        return done.returncode, done.stdout, done.stderr

    def test_help_and_version_are_printed(self) -> None:
        status, out, _ = self.server_status("--help")
        self.assertEqual(0, status)
        for word in ("MODE", "--host", "--port", "--config", "--no-tls", "--no-input", "PORTER_MODE", "users", "HUP"):
            self.assertIn(word, out)
        self.assertIn(f"Porter {VERSION} (Python ", self.server_status("--version")[1])

    def test_wrong_usage_gives_status_64_and_at_most_two_lines(self) -> None:
        for arguments in (["--prot", "1"], ["--port", "x"], ["--port", "65536"], ["nosuch"], ["echo", "auth"]):
            status, out, errors = self.server_status(*arguments)
            self.assertEqual((64, ""), (status, out))
            self.assertLessEqual(errors.count("\n"), 2)
            self.assertNotIn("Traceback", errors)

    def test_a_wrong_configuration_gives_status_78_with_every_problem(self) -> None:
        path = self.write("wrong.yaml", "port: x\nmoed: echo\n")
        status, out, errors = self.server_status("--config", str(path))
        self.assertEqual((78, "", 2), (status, out, errors.count("\n")))
        self.assertIn("wrong.yaml:2:1: moed: unknown key", errors)
        self.assertEqual(78, self.server_status("--config", "none.yaml")[0])
        self.assertEqual(78, self.server_status("--config", str(self.write_configuration(workers=0)))[0])

    def test_an_unavailable_address_gives_status_69(self) -> None:
        path = self.write_configuration(host="192.0.2.99")
        status, out, errors = self.server_status("--config", str(path))
        self.assertEqual((69, ""), (status, out))
        self.assertRegex(errors, r"^porter: cannot listen on 192\.0\.2\.99")

    def test_standard_output_has_one_line_and_nothing_else(self) -> None:
        server = self.start_process("echo")
        self.assertRegex(server.first_line, r"^Listening on 127\.0\.0\.1:\d+ \(echo, no TLS\)$")
        self.assertEqual((0, "", ""), server.stop())

    def test_a_taken_port_is_replaced_by_the_next_free_one_and_the_console_shows_which(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            taken = holder.getsockname()[1]
            server = self.start_process("--port", str(taken))
            self.assertGreater(server.port, taken)
            self.assertEqual(0, server.stop()[0])

    def test_an_option_beats_the_environment_and_the_environment_beats_the_file(self) -> None:
        file = str(self.write_configuration(mode="auth"))
        for arguments, more, wanted in (
            ([], {}, "(auth, no TLS)"),
            ([], {"PORTER_MODE": "identify"}, "(identify, no TLS)"),
            (["echo"], {"PORTER_MODE": "identify"}, "(echo, no TLS)"),
            (["echo", "--host", "127.0.0.1"], {"PORTER_HOST": "127.0.0.5"}, "on 127.0.0.1:"),
            (["echo"], {"PORTER_HOST": "127.0.0.5", "PORTER_PORT": "0"}, "on 127.0.0.5:"),
        ):
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "server", *arguments],
                env=environment(self.folder, PORTER_CONFIG=file, **more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            line = process.stdout.readline()
            process.terminate()
            process.communicate(timeout=PATIENCE)
            self.assertIn(wanted, line)

    def test_a_configuration_is_looked_up_in_the_callers_folder(self) -> None:
        self.write_configuration("sub.yaml", mode="nosuch")
        self.assertIn("sub.yaml:", self.server_status("--config", "sub.yaml")[2])


class Tls(PorterTestCase):
    tls = True

    def test_a_certificate_is_made_and_its_fingerprint_printed(self) -> None:
        server = self.start_process("echo")
        client = server.connect()
        shown = fingerprint(client.tls.peer_certificate())  # type: ignore[union-attr]
        self.assertTrue(server.first_line.endswith(f"(echo, TLS {shown})"), server.first_line)

    def test_the_option_no_tls_turns_tls_off(self) -> None:
        self.assertTrue(self.start_process("echo", "--no-tls").first_line.endswith("(echo, no TLS)"))

    def test_a_stop_ends_tls_properly(self) -> None:
        server = self.start_process("auth")
        client = server.talk()
        client.register("Alice")
        server.signal(signal.SIGTERM)
        client.expect(Kind.ERROR, "the server is stopping")
        client.expect_end()
        client.connection.close()
        self.assertEqual((0, "", ""), server.wait())


class Terminal(PorterTestCase):
    def spawn(self, *arguments: str, **settings: Any) -> "pexpect.spawn[str]":
        child = pexpect.spawn(
            sys.executable,
            ["-P", "-m", "server", *arguments, "--config", str(self.write_configuration(**settings))],
            env=environment(self.folder),
            encoding="utf-8",
            timeout=PATIENCE,
        )
        self.addCleanup(child.close, force=True)
        return child

    def status(self, child: "pexpect.spawn[str]") -> int | None:
        child.expect(pexpect.EOF)
        child.wait()
        return child.exitstatus

    def test_the_port_is_asked_for_until_it_is_valid(self) -> None:
        child = self.spawn(port=9090)
        child.expect_exact("Port [9090]: ")
        child.sendline("99999")
        child.expect_exact("a port is a number from 0 to 65535, not '99999'")
        child.expect_exact("Port [9090]: ")
        child.sendline("0")
        child.expect(r"Listening on 127\.0\.0\.1:\d+ \(echo, no TLS\)")
        child.sendintr()
        self.assertEqual(0, self.status(child))

    def test_enter_takes_the_default(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        child = self.spawn(port=port)
        child.expect_exact(f"Port [{port}]: ")
        child.sendline("")
        child.expect_exact("Listening on 127.0.0.1:")

    def test_at_the_question_ctrl_c_gives_status_130_and_ctrl_d_status_0(self) -> None:
        for leave, wanted in (("sendintr", 130), ("sendeof", 0)):
            child = self.spawn(port=9090)
            child.expect_exact("Port [9090]: ")
            getattr(child, leave)()
            self.assertEqual(wanted, self.status(child))
            self.assertNotIn("Traceback", child.before)

    def test_nothing_is_asked_with_the_option_port_or_no_input(self) -> None:
        for arguments in (["--port", "0"], ["--no-input"]):
            child = self.spawn(*arguments)
            child.expect_exact("Listening on")
            self.assertNotIn("Port", child.before)
            child.close(force=True)

    def test_hup_reloads_with_a_terminal_and_stops_when_the_terminal_is_gone(self) -> None:
        child = self.spawn("--port", "0")
        child.expect(r"Listening on 127\.0\.0\.1:(\d+)")
        port = int(child.match.group(1))
        os.kill(child.pid, signal.SIGHUP)
        log = self.folder / "server.log"
        wait_until(lambda: "reloaded" in log.read_text(), "the reload")
        child.ptyproc.fileobj.close()  # the terminal goes away, and the kernel sends HUP
        wait_until(lambda: "server stopped" in log.read_text(), "the stop")
        with self.assertRaises(ConnectionRefusedError):
            connect(port, tls=False)
        child.wait()
        child.closed = child.ptyproc.closed = True

    def test_without_a_terminal_hup_always_reloads(self) -> None:
        server = self.start_process("echo")
        for count in range(1, 4):
            server.signal(signal.SIGHUP)
            wait_until(lambda count=count: server.log().count("reloaded") == count, "the reload")
        self.assertEqual(0, server.stop()[0])
