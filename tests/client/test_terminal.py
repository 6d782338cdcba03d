"""The client on a real terminal; the tests read its screen."""

import contextlib
import re
import shutil
import signal
import socket
import sys
import termios
from collections.abc import Sequence

import pexpect
import pyte

from common.wire.framing import encode
from common.wire.kinds import Kind, compose
from common.wire.sockets import MessageSocket, Timeouts
from tests.support import (
    PATIENCE,
    PorterTestCase,
    RunningServer,
    environment,
    outward_address,
    refusing_port,
    send_bytes,
    wait_until,
)


class Screen:
    """The client in a pseudo-terminal of 24 lines."""

    def __init__(self, case: PorterTestCase, *arguments: str, under: Sequence[str] = (), **more: str) -> None:
        command = [*under, sys.executable, "-P", "-m", "client", *arguments]
        self.child = pexpect.spawn(
            command[0],
            command[1:],
            env={**environment(case.folder), "TERM": "xterm", **more},
            dimensions=(24, 80),
            timeout=PATIENCE,
        )
        case.addCleanup(self.child.close, force=True)
        self._case = case
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""

    def lines(self) -> list[str]:
        """Return the lines on the screen, without the empty lines at the end."""
        try:
            while True:
                data = self.child.read_nonblocking(100_000, timeout=0)
                self.raw += data
                self._stream.feed(data)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass
        status = r"^(>.*?) +\S+:\d+ \((no |без )?TLS\).*$"
        lines = [re.sub(status, r"\1", line).rstrip() for line in self.shown()]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def shown(self) -> list[str]:
        """Return all lines on the screen as they were last, the status included."""
        return list(self._screen.display)

    def wait_for(self, *wanted: str) -> None:
        """Wait until the last lines of the screen are these."""
        try:
            wait_until(lambda: self.lines()[-len(wanted) :] == list(wanted), "the screen")
        except AssertionError:
            self._case.assertEqual(list(wanted), self.lines()[-len(wanted) :])

    def wait_for_line(self, part: str) -> None:
        wait_until(lambda: part in "".join(self.lines()), f"{part!r} on the screen")

    def type(self, text: str) -> None:
        self.child.send(text)

    def enter(self, text: str = "") -> None:
        self.child.send(text + "\r")

    def status(self) -> int | None:
        self.lines()
        with contextlib.suppress(pexpect.EOF):
            while True:
                self.raw += self.child.read_nonblocking(100_000, timeout=PATIENCE)
        self.child.wait()
        return self.child.exitstatus


class WithServer(PorterTestCase):
    tls = True

    def client(self, server: RunningServer, *arguments: str, **more: str) -> Screen:
        tls = [] if self.tls else ["--no-tls"]
        return Screen(self, "--port", str(server.port), "--no-input", *tls, *arguments, **more)

    def test_a_user_registers_and_comes_back_without_a_password(self) -> None:
        with self.server("auth") as server:
            client = self.client(server)
            client.wait_for("Name:")
            client.enter("Alice")
            client.wait_for_line("Choose a password")
            client.enter("correct horse")
            client.wait_for_line("Repeat the password")
            client.enter("correct horse")
            client.wait_for("Hello, Alice!", ">")
            client.enter("hello")
            client.wait_for("> hello", "hello", ">")
            client.enter("exit")
            self.assertEqual(0, client.status())
            self.assertNotIn(b"horse", client.raw)
            again = self.client(server)
            again.wait_for("Hello, Alice!", ">")
            again.type("\x04")
            self.assertEqual(0, again.status())
            history = (self.folder / "state" / "porter" / "history").read_text()
            self.assertIn("hello", history)
            for secret in ("horse", "Alice"):
                self.assertNotIn(secret, history)

    def test_ctrl_c_ends_with_130_and_ctrl_d_with_0_at_every_prompt(self) -> None:
        with self.server("auth") as server:
            for key, wanted in (("\x03", 130), ("\x04", 0)):
                for answers in ([], ["Alice"], ["Alice", "correct horse"]):
                    client = self.client(server)
                    client.wait_for("Name:")
                    for answer in answers:
                        before = len(client.lines())
                        client.enter(answer)
                        wait_until(
                            lambda before=before, client=client: len(client.lines()) > before, "the next question"
                        )
                    client.type(key)
                    self.assertEqual(wanted, client.status(), (key, answers))
                    self.assertNotIn(b"Traceback", client.raw)

    def test_exit_ends_the_client_at_a_question_too(self) -> None:
        with self.server("auth") as server:
            client = self.client(server)
            client.wait_for("Name:")
            client.enter("exit")
            self.assertEqual(0, client.status())

    def test_three_wrong_passwords_end_the_client_with_77(self) -> None:
        with self.server("auth") as server:
            server.talk("127.0.0.2").register("Alice")
            client = self.client(server, NO_COLOR="1")
            for number in range(1, 4):
                wait_until(lambda client=client: client.lines()[-1:] == ["Name:"], "the question")
                client.enter("Alice")
                client.wait_for(f"[127.0.0.1:{server.port}] Password:")
                client.enter("wrong")
                wait_until(
                    lambda client=client, number=number: client.lines().count("wrong name or password") == number,
                    "no",
                )
            self.assertEqual(77, client.status())
            self.assertIn(b"porter: the server ended the connection before the login was complete", client.raw)
            self.assertNotIn(b"\x1b[31m", client.raw)

    def test_the_client_says_to_whom_it_is_connected_and_how_to_leave(self) -> None:
        with self.server("echo") as server:
            client = self.client(server)
            client.wait_for(f"Connected to 127.0.0.1:{server.port} (TLS). `exit` or Ctrl-D leaves.", ">")
            client.enter("exit")
            self.assertEqual(0, client.status())

    def test_ctrl_z_suspends_the_client_and_it_goes_on_afterwards(self) -> None:
        with self.server("echo") as server:
            shell = ["bash", "-c", 'set -m; "$@"; echo stopped; fg >/dev/null; echo ended $?', "bash"]
            client = Screen(self, "--port", str(server.port), "--no-input", under=shell)
            client.wait_for_line(">")
            client.type("hel")
            client.wait_for_line("> hel")
            client.type("\x1a")
            client.wait_for_line("stopped")
            client.enter("lo")
            wait_until(lambda: "hello" in client.lines(), "the echo")
            client.enter("exit")
            client.wait_for_line("ended 0")

    def test_errors_are_red_unless_colour_is_not_wanted(self) -> None:
        with self.server("identify") as server:
            client = self.client(server)
            client.wait_for("Your name:")
            client.enter("")
            client.wait_for_line("a name has 1 to 64 characters")
            self.assertIn(b"\x1b[31m", client.raw)

    def test_a_server_that_stops_says_so_and_the_client_ends_with_69(self) -> None:
        with self.server("echo") as server:
            client = self.client(server)
            client.wait_for(">")
            client.type("half a line")
            server.service.stop_listening()
            server.service.drain()
            client.wait_for_line("the server is stopping")
            self.assertEqual(69, client.status())

    def test_the_client_reports_that_the_server_closed_the_connection(self) -> None:
        with self.server("auth") as server:
            token = server.talk().register("Alice")
            self.assertTrue(token)
            client = self.client(server)
            client.wait_for("Name [Alice]:")
            client.enter()
            client.wait_for(f"[127.0.0.1:{server.port}] Password:")
            client.enter("correct horse")
            client.wait_for("Hello, Alice!", ">")
            client.enter("/logout")
            client.wait_for_line("The server closed the connection.")
            self.assertEqual(0, client.status())

    def test_the_history_is_saved_unless_no_save_is_given(self) -> None:
        with self.server("echo") as server:
            for arguments, wanted in ((["--no-save"], ">"), ([], ">"), ([], "> exit")):
                client = self.client(server, *arguments)
                client.wait_for(">")
                client.type("\x1b[A")
                client.wait_for(wanted)
                client.type("\x15")
                client.enter("remember me")
                client.wait_for("> remember me", "remember me", ">")
                client.enter("exit")
                self.assertEqual(0, client.status())


class WhileTyping(PorterTestCase):
    """Uses a server that sends a message when the test says so."""

    def setUp(self) -> None:
        super().setUp()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            self.client = Screen(self, "--port", str(listener.getsockname()[1]), "--no-input", "--no-tls")
            accepted, _ = listener.accept()
            self.peer = f"127.0.0.1:{listener.getsockname()[1]}"
        self.server_side = MessageSocket(accepted)
        self.server_side.timeouts = Timeouts(PATIENCE, PATIENCE, PATIENCE)
        self.addCleanup(self.server_side.close)
        self.say(Kind.TEXT, "ready")
        self.client.wait_for("ready", ">")

    def say(self, kind: Kind, text: str) -> None:
        self.server_side.send_message(compose(kind, text))

    def test_a_message_does_not_break_the_line_that_is_being_typed(self) -> None:
        self.client.type("half a li")
        self.client.wait_for("ready", "> half a li")
        for number in range(3):
            self.say(Kind.TEXT, str(number))
        self.client.wait_for("ready", "0", "1", "2", "> half a li")
        self.client.type("ne")
        self.client.wait_for("2", "> half a line")
        self.client.enter()
        self.assertEqual("TEXT half a line", self.server_side.receive_message())

    def test_a_question_interrupts_a_line_and_the_line_is_restored(self) -> None:
        self.client.type("a draft")
        self.client.wait_for("ready", "> a draft")
        self.say(Kind.ASK, "well? ")
        self.client.wait_for("ready", "well?")
        self.client.enter("yes")
        self.assertEqual("TEXT yes", self.server_side.receive_message())
        self.say(Kind.TEXT, "good")
        self.client.wait_for("well? yes", "good", "> a draft")

    def test_a_question_for_a_secret_names_the_server_and_hides_earlier_input(self) -> None:
        self.client.type("hunter2")
        self.client.wait_for("ready", "> hunter2")
        self.say(Kind.SECRET, "psst? ")
        self.client.wait_for("ready", f"[{self.peer}] psst?")
        self.client.enter("hunter2")
        self.assertEqual("TEXT hunter2", self.server_side.receive_message())
        self.say(Kind.TEXT, "good")
        self.client.wait_for(f"[{self.peer}] psst? *******", "good", ">")

    def test_input_before_the_next_question_is_not_shown(self) -> None:
        self.say(Kind.ASK, "Name: ")
        self.client.wait_for("ready", "Name:")
        self.client.enter("Bob")
        self.assertEqual("TEXT Bob", self.server_side.receive_message())
        self.say(Kind.SET_TOKEN, "x")  # the user sees nothing of it, and no prompt
        wait_until(lambda: "x" in self.tokens(), "the token")
        self.client.type("hunter2\r")
        self.say(Kind.SECRET, "Password: ")
        self.assertEqual("TEXT hunter2", self.server_side.receive_message())
        self.say(Kind.TEXT, "good")
        self.client.wait_for("good", ">")
        self.assertNotIn(b"hunter2", self.client.raw)

    def tokens(self) -> str:
        path = self.folder / "state" / "porter" / "tokens.json"
        return path.read_text() if path.exists() else ""

    def test_ctrl_d_between_two_questions_is_not_lost(self) -> None:
        self.say(Kind.ASK, "Name: ")
        self.client.wait_for("ready", "Name:")
        self.client.enter("Bob")
        self.assertEqual("TEXT Bob", self.server_side.receive_message())
        self.client.type("\x04")
        self.say(Kind.ASK, "Well? ")
        self.assertEqual(0, self.client.status())

    def test_input_that_is_not_utf8_is_not_sent(self) -> None:
        self.client.child.send(b"ab\xff\xfe\r")
        self.client.wait_for_line("That is not UTF-8 text; it was not sent.")
        self.client.enter("text")
        self.assertEqual("TEXT text", self.server_side.receive_message())

    def test_the_client_works_when_the_history_cannot_be_written(self) -> None:
        shutil.rmtree(self.folder / "state")
        self.client.enter("hello")
        self.assertEqual("TEXT hello", self.server_side.receive_message())
        self.say(Kind.TEXT, "good")
        self.client.wait_for("> hello", "good", ">")
        self.assertNotIn(b"Traceback", self.client.raw)

    def test_sigterm_and_sighup_end_the_client_and_restore_the_terminal(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            for question in ("", "SECRET psst? "):
                with (
                    self.subTest(number=number, question=question),
                    socket.create_server(("127.0.0.1", 0)) as listener,
                ):
                    listener.settimeout(PATIENCE)
                    client = Screen(self, "--port", str(listener.getsockname()[1]), "--no-input", "--no-tls")
                    before = termios.tcgetattr(client.child.child_fd)
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(encode(question or "TEXT hello"))
                        client.wait_for_line("psst?" if question else ">")
                        client.child.kill(number)
                        self.assertEqual(128 + number, client.status())
                        self.assertEqual(before, termios.tcgetattr(client.child.child_fd))
                        self.assertNotIn(b"Traceback", client.raw)

    def test_the_text_of_a_server_cannot_move_the_cursor(self) -> None:
        self.client.type("a line")
        self.client.wait_for("ready", "> a line")
        self.say(Kind.TEXT, "\x1b[2J\x1b[1;1Hboo\x07")
        self.say(Kind.ASK, "\x1b[5mname\r? ")
        self.client.wait_for("ready", "\\x1b[2J\\x1b[1;1Hboo\\x07", "\\x1b[5mname\\r?")

    def test_a_breach_by_the_server_ends_the_client_with_76(self) -> None:
        self.server_side.send_message("NONSENSE")
        self.client.wait_for_line("breaks the protocol")
        self.assertEqual(76, self.client.status())

    def test_a_lost_connection_ends_the_client_with_69(self) -> None:
        send_bytes(self.server_side, b"\0\0")
        self.server_side.close()
        self.client.wait_for_line("is lost: the peer ended the connection inside a message")
        self.assertEqual(69, self.client.status())


class Questions(PorterTestCase):
    tls = True

    def test_the_client_asks_for_host_and_port_and_explains_wrong_answers(self) -> None:
        with self.server("echo") as server:
            client = Screen(self)
            client.wait_for_line("Host [127.0.0.1]:")
            client.enter("nowhere.invalid")
            client.wait_for_line("there is no host 'nowhere.invalid'")
            client.enter("localhost")
            client.wait_for_line("Port [9090]:")
            client.enter("99999")
            client.wait_for_line("a port is a number from 1 to 65535, not '99999'")
            client.enter(str(server.port))
            client.wait_for(">")

    def test_ctrl_c_and_ctrl_d_end_the_questions_for_host_and_port(self) -> None:
        for key, wanted in (("\x03", 130), ("\x04", 0)):
            for answers in (0, 1):
                client = Screen(self)
                client.wait_for_line("Host [127.0.0.1]:")
                if answers:
                    client.enter()
                    client.wait_for_line("Port [9090]:")
                client.type(key)
                self.assertEqual(wanted, client.status())
                self.assertNotIn(b"Traceback", client.raw)

    def test_a_missing_server_ends_the_client_with_69(self) -> None:
        with refusing_port() as port:
            client = Screen(self, "--host", "127.0.0.1", "--port", str(port))
            client.wait_for_line("is the server running there?")
            self.assertEqual(69, client.status())

    def test_an_unknown_certificate_is_shown_and_the_user_is_asked(self) -> None:
        host = outward_address()
        if host is None:
            self.skipTest("this machine has no address but loopback")
        with self.server("echo", host=host) as server:
            shown = server.service.description.partition("TLS ")[2].rstrip(")")
            for answer, wanted in (("no\r", 76), ("\x04", 0), ("\x03", 130)):
                client = Screen(self, "--host", host, "--port", str(server.port))
                client.wait_for_line("Trust it? (yes/no)")
                self.assertTrue(any(shown in line for line in client.lines()), client.lines())
                client.type(answer)
                self.assertEqual(wanted, client.status())
            self.assertFalse([line for line in server.log.messages if "received" in line])
            client = Screen(self, "--host", host, "--port", str(server.port))
            client.wait_for_line("Trust it? (yes/no)")
            client.enter("perhaps")
            client.wait_for("Trust it? (yes/no) perhaps", "Trust it? (yes/no)")
            client.enter("yes")
            client.wait_for(">")
            client = Screen(self, "--host", host, "--port", str(server.port))
            client.wait_for(">")
