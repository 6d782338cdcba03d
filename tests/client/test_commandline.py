"""The client as a program in a pipe: statuses, options, and the text that it sends and prints."""

import socket
import stat
import subprocess
import sys
import threading
from typing import Any

from common.wire.framing import encode
from common.wire.sockets import MessageSocket, Timeouts
from server.handlers.handler import Handler
from tests.support import (
    PATIENCE,
    PorterTestCase,
    RunningServer,
    environment,
    refusing_port,
    run_program,
    send_bytes,
)


class SlowEcho(Handler):
    """A mode that takes two seconds for each answer."""

    def converse(self) -> None:
        while True:
            line = self.hear()
            threading.Event().wait(2)
            self.say(line)


class Behaviour:
    """Tests that are the same with TLS and without."""

    def client(
        self: Any, server: RunningServer, *arguments: str, input: str = "", **more: str
    ) -> tuple[int, str, str]:
        tls = [] if self.tls else ["--no-tls"]
        done = run_program(self.folder, "client", "--port", str(server.port), *tls, *arguments, input=input, **more)
        return done.returncode, done.stdout, done.stderr

    def test_the_client_sends_lines_and_prints_only_the_replies(self: Any) -> None:
        with self.server("echo") as server:
            self.assertEqual((0, "one\n\nexit\n", ""), self.client(server, input="one\n\nexit\n"))

    def test_a_user_registers_and_comes_back_with_the_saved_token(self: Any) -> None:
        with self.server("auth") as server:
            status, out, errors = self.client(server, input="Alice\ncorrect horse\ncorrect horse\nhello\n")
            self.assertEqual((0, "Hello, Alice!\nhello\n", ""), (status, out, errors))
            self.assertEqual((0, "Hello, Alice!\nagain\n", ""), self.client(server, input="again\n"))
            path = self.folder / "state" / "porter"
            self.assertEqual(0o700, stat.S_IMODE(path.stat().st_mode))
            self.assertEqual({0o600}, {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()})
            log = (self.folder / "state").rglob("*")
            self.assertNotIn("horse", "".join(file.read_text() for file in log if file.is_file()))

    def test_the_client_ends_when_its_input_is_empty_or_closed(self: Any) -> None:
        with self.server("auth") as server:
            asked = "porter: the server asks 'Name:', and the input has ended\n"
            self.assertEqual((77, "", asked), self.client(server))
            command = (
                f'exec "{sys.executable}" -P -m client --port {server.port} {"" if self.tls else "--no-tls"} <&-'
            )
            done = subprocess.run(
                ["sh", "-c", command], env=environment(self.folder), capture_output=True, timeout=PATIENCE
            )
            self.assertEqual((77, b"", asked.encode()), (done.returncode, done.stdout, done.stderr))

    def test_an_answer_that_takes_two_seconds_is_not_lost(self: Any) -> None:
        handlers = {"slow": {"class": f"{__name__}:SlowEcho"}}
        with self.server("slow", handlers=handlers) as server:
            self.assertEqual((0, "x\n", ""), self.client(server, input="x\n"))

    def test_a_state_folder_that_cannot_be_used_costs_a_warning_and_the_memory(self: Any) -> None:
        # Not even root can make a folder in /proc, or in a file.
        for home in ("/proc/none", str(self.write("file", ""))):
            with self.server("auth") as server:
                status, out, errors = self.client(
                    server, input="Alice\ncorrect horse\ncorrect horse\nhello\n", XDG_STATE_HOME=home
                )
                self.assertEqual((0, "Hello, Alice!\nhello\n"), (status, out), errors)
                (line,) = errors.splitlines()
                self.assertRegex(line, f"^porter: warning: {home}/porter.* cannot be used: .*forgotten when it ends")
                server.log.wait_for("Alice registered")
                self.assertEqual(77, self.client(server, XDG_STATE_HOME=home)[0], "nothing is remembered")
            (self.folder / "data/porter.db").unlink()

    def test_with_no_save_nothing_is_touched_and_nothing_warned_of(self: Any) -> None:
        with self.server("echo") as server:
            for state in ("/proc/none", str(self.folder / "fresh")):
                found = self.client(server, "--no-save", input="x\n", XDG_STATE_HOME=state)
                self.assertEqual((0, "x\n", ""), found)
            self.assertFalse((self.folder / "fresh").exists())

    def test_without_a_home_the_client_talks_on_and_keeps_nothing(self: Any) -> None:
        with self.server("echo") as server:
            status, out, errors = self.client(server, input="x\n", XDG_STATE_HOME="", HOME="/proc/none")
            self.assertEqual((0, "x\n"), (status, out), errors)
            self.assertLessEqual(len(errors.splitlines()), 1)

    def test_host_and_port_may_be_given_without_options(self: Any) -> None:
        with self.server("echo") as server:
            tls = [] if self.tls else ["--no-tls"]
            for arguments in (["127.0.0.1", str(server.port)], ["127.0.0.1", "-p", str(server.port)]):
                done = run_program(self.folder, "client", *tls, *arguments, input="x\n")
                self.assertEqual((0, "x\n", ""), (done.returncode, done.stdout, done.stderr))

    def test_verbose_shows_the_connection_and_each_message_but_no_secret(self: Any) -> None:
        with self.server("auth") as server:
            server.talk().register("Alice")
            status, out, errors = self.client(server, "-v", input="Alice\ncorrect horse\nhi\n")
            self.assertEqual((0, "Hello, Alice!\nhi\n"), (status, out), errors)
            # In a checkout that this user may not write, -v says first that there is no log.
            first, *rest = [line for line in errors.splitlines() if "client.log" not in line]
            protection = r"TLSv1\.3, TLS_\w+, SHA256:\S{43}" if self.tls else "without TLS"
            self.assertRegex(first, rf"^porter: connected to 127\.0\.0\.1:{server.port}, {protection}$")
            for line in ("received GET-TOKEN, 9 bytes", "sent TOKEN, 5 bytes", "sent TEXT, 18 bytes"):
                self.assertIn(f"porter: {line}", rest)
            self.assertNotIn("horse", errors)

    def test_a_port_of_a_cluster_is_ignored(self: Any) -> None:
        with self.server("echo") as server:
            found = self.client(server, input="x\n", PORTER_PORT="tcp://10.0.0.7:9090")
            self.assertEqual((0, "x\n", ""), found)
            errors = self.client(server, "-v", input="x\n", PORTER_PORT="tcp://10.0.0.7:9090")[2]
            self.assertIn("PORTER_PORT=tcp://10.0.0.7:9090 is not meant for Porter, and is ignored", errors)

    def test_a_refusal_by_the_server_ends_with_69_and_without_wrong_advice(self: Any) -> None:
        with self.server("echo", limits={"max_connections_per_address": 1}) as server:
            held = server.connect()
            held.send_message("x")
            held.receive_message()
            status, _, errors = self.client(server, input="x\n")
            self.assertEqual(69, status)
            self.assertNotIn("needs --no-tls", errors)
            self.assertIn(
                "ended the connection during the TLS handshake" if self.tls else "too many connections", errors
            )


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_a_wrong_password_ends_with_77(self) -> None:
        with self.server("auth") as server:
            server.talk().register("Alice")
            status, out, errors = self.client(server, input="Alice\nwrong\n" * 3)
            self.assertEqual(
                (77, "", "wrong name or password\n" * 3), (status, out, errors.rpartition("porter: ")[0])
            )
            self.assertTrue(
                errors.endswith("porter: the server ended the connection before the login was complete\n")
            )
            self.assertEqual(77, self.client(server, input="Alice\nwrong\n")[0])

    def test_a_password_file_answers_every_secret_and_nothing_else(self) -> None:
        self.write("password", "correct horse\nnot this\n")
        with self.server("auth") as server:
            arguments = ["--password-file", "password", "--no-save"]
            self.assertEqual((0, "Hello, Alice!\nhi\n", ""), self.client(server, *arguments, input="Alice\nhi\n"))
            self.assertEqual((0, "Hello, Alice!\nhi\n", ""), self.client(server, *arguments, input="\nhi\n"))
            self.assertFalse((self.folder / "state").exists())

    def test_the_first_line_of_the_input_can_be_the_password(self) -> None:
        with self.server("auth") as server:
            given = "correct horse\r\nAlice\nhi\n"
            self.assertEqual((0, "Hello, Alice!\nhi\n", ""), self.client(server, "--password-stdin", input=given))
            server.talk().log_in("Alice")

    def test_a_logout_forgets_the_token(self) -> None:
        with self.server("auth") as server:
            self.client(server, input="Alice\ncorrect horse\ncorrect horse\n")
            self.assertEqual((0, "Hello, Alice!\nGoodbye!\n", ""), self.client(server, input="/logout\n"))
            self.assertEqual(77, self.client(server)[0])

    def test_ctrl_c_ends_with_130(self) -> None:
        with self.server("echo") as server:
            child = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "client",
                    "--port",
                    str(server.port),
                    *([] if self.tls else ["--no-tls"]),
                ],
                env=environment(self.folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            server.log.wait_for("client connected")
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(b"x\n")
            child.stdin.flush()
            self.assertEqual(b"x\n", child.stdout.readline())
            child.send_signal(2)
            out, errors = child.communicate(timeout=PATIENCE)
            self.assertEqual((130, b"", b""), (child.returncode, out, errors))
            server.log.wait_for("client disconnected")

    def test_output_that_cannot_be_written_causes_no_traceback(self) -> None:
        with self.server("echo") as server:
            base = f'"{sys.executable}" -P -m client --port {server.port} {"" if self.tls else "--no-tls"}'
            for redirect, wanted in (("| head -c 1", ""), (">/dev/full", "No space left on device"), (">&-", "")):
                done = subprocess.run(
                    ["sh", "-c", f"printf 'one\\ntwo\\nthree\\n' | {base} {redirect}"],
                    env=environment(self.folder, LC_ALL="C"),
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                )
                self.assertNotIn("Traceback", done.stderr)
                self.assertIn(wanted, done.stderr)


class CommandLine(PorterTestCase):
    def run_client(self, *arguments: str, input: str = "", **more: str) -> tuple[int, str, str]:
        done = run_program(self.folder, "client", *arguments, input=input, **more)
        return done.returncode, done.stdout, done.stderr

    def test_help_and_version_are_printed(self) -> None:
        status, out, _ = self.run_client("--help")
        self.assertEqual(0, status)
        for option in ("host", "port", "no-tls", "no-input", "accept-new", "pin", "forget", "no-save"):
            self.assertIn(f"--{option}", out)
        self.assertRegex(self.run_client("--version")[1], r"^Porter \d")

    def test_wrong_usage_ends_with_64(self) -> None:
        self.write("empty", "")
        self.write("latin1", "")
        (self.folder / "latin1").write_bytes(b"\xff\n")
        for arguments, message in (
            (["--prot", "1"], "--prot"),
            (["--port", "0"], "from 1 to 65535"),
            (["--port", "x"], "from 1 to 65535"),
            (["h", "1", "2"], "unrecognized arguments: 2"),
            (["h", "--host", "x"], "the host is given twice"),
            (["--timeout", "soon"], "--timeout"),
            (["--pin", "x"], "a fingerprint is SHA256:"),
            (["--pin", "SHA256:" + "a" * 43, "--no-tls"], "--pin needs TLS"),
            (["--password-file", "none"], "cannot read the password file none: No such file"),
            (["--password-file", "empty"], "the password file empty is empty"),
            (["--password-file", "latin1"], "not UTF-8"),
            (["--password-stdin"], "standard input is empty"),
            (["--password-stdin", "--password-file", "x"], "not allowed with"),
        ):
            with self.subTest(arguments):
                status, out, errors = self.run_client(*arguments)
                self.assertEqual((64, ""), (status, out))
                self.assertIn(message, errors)
                self.assertNotIn("Traceback", errors)

    def test_the_environment_names_the_server(self) -> None:
        with refusing_port("") as port:
            status, _, errors = self.run_client(PORTER_HOST="127.0.0.5", PORTER_PORT=str(port))
            self.assertEqual(69, status)
            self.assertIn(f"cannot connect to 127.0.0.5:{port}", errors)
            _, _, errors = self.run_client("--host", "127.0.0.6", PORTER_HOST="127.0.0.5", PORTER_PORT=str(port))
            self.assertIn(f"cannot connect to 127.0.0.6:{port}", errors)

    def test_a_text_that_cannot_be_a_host_names_the_option_or_the_variable(self) -> None:
        wrong = "'a/b' is not a host name or an address\n"
        self.assertEqual((64, "", f"porter: --host: {wrong}"), self.run_client("--host", "a/b"))
        self.assertEqual((64, "", f"porter: PORTER_HOST: {wrong}"), self.run_client(PORTER_HOST="a/b"))

    def test_a_server_that_breaks_the_protocol_ends_the_client_with_76(self) -> None:
        for frames in (encode("NONSENSE"), b"\0\0\0\1\xff", b"\xff\xff\xff\xff", encode("")):
            with socket.create_server(("127.0.0.1", 0)) as listener:

                def serve(listener: socket.socket = listener, frames: bytes = frames) -> None:
                    connection = MessageSocket(listener.accept()[0])
                    connection.timeouts = Timeouts(PATIENCE)
                    send_bytes(connection, frames)
                    connection.receive_message()
                    connection.close()

                thread = threading.Thread(target=serve)
                thread.start()
                port = str(listener.getsockname()[1])
                status, out, errors = self.run_client("--port", port, "--no-tls")
                thread.join(PATIENCE)
                self.assertEqual((76, ""), (status, out), errors)
                self.assertIn("breaks the protocol", errors)

    def test_in_a_pipe_a_server_that_takes_nothing_is_waited_for_as_long_as_timeout_says(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            lines = "x" * 20_000_000 + "\n"  # more than the kernel keeps
            status, _, errors = self.run_client("--port", port, "--no-tls", "--timeout", "1", input=lines)
        self.assertEqual(69, status)
        self.assertIn("is lost: the peer did not take what was sent within 1 seconds", errors)

    def test_the_help_and_wrong_usage_are_in_the_language_of_the_reader(self) -> None:
        for locale, words in (
            ("C", ("usage: ", "options:", "see ")),
            ("ru_RU.UTF-8", ("использование: ", "ключи:", "справка:")),
        ):
            with self.subTest(locale):
                shown = run_program(self.folder, "client", "--help", LC_ALL=locale)
                self.assertEqual((0, ""), (shown.returncode, shown.stderr))
                wrong = run_program(self.folder, "client", "--hlep", LC_ALL=locale)
                self.assertEqual((64, ""), (wrong.returncode, wrong.stdout))
                for word in words:
                    self.assertIn(word, shown.stdout + wrong.stderr)

    def test_the_client_imports_neither_pydantic_nor_sqlalchemy(self) -> None:
        code = "import sys, client.commandline, client.editor; print(*sorted(sys.modules))"
        out = subprocess.run(
            [sys.executable, "-c", code], env=environment(self.folder), capture_output=True, text=True, check=True
        ).stdout.split()
        for heavy in ("pydantic", "sqlalchemy", "passlib", "cryptography", "server"):
            self.assertNotIn(heavy, out)
        self.assertIn("prompt_toolkit", out)
