"""Coming back after a lost connection: in a pipe, on a terminal, and in a program."""

import os
import signal
import subprocess
import sys
import threading
from typing import Any
from unittest import mock

from client.library import Access, Client
from client.trust import Endpoint
from common.errors import ConnectionEnded
from server.handlers.handler import Handler
from tests.client.test_terminal import Screen
from tests.support import PATIENCE, PorterTestCase, ServerProcess, environment, refusing_port


class Silent(Handler):
    """A mode that answers nothing."""

    def converse(self) -> None:
        self.say("here")
        while True:
            self.log.info("heard %s", self.hear())


class Dying(Handler):
    """A mode whose server is killed by the word `die`."""

    def converse(self) -> None:
        while self.hear() != "die":
            pass
        os.kill(os.getpid(), signal.SIGKILL)


class PipeClient(subprocess.Popen[str]):
    """The client in a pipe that stays open."""

    def __init__(self, case: PorterTestCase, *arguments: str) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-P", "-m", "client", "--reconnect", *([] if case.tls else ["--no-tls"])]
        command += arguments
        super().__init__(command, env=environment(case.folder), stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        case.addCleanup(self.communicate)
        case.addCleanup(self.kill)

    def say(self, line: str) -> None:
        assert self.stdin is not None
        self.stdin.write(f"{line}\n")
        self.stdin.flush()

    def hear(self) -> str:
        assert self.stdout is not None
        return self.stdout.readline().rstrip("\n")

    def told(self) -> str:
        assert self.stderr is not None
        return self.stderr.readline().rstrip("\n")


class Behaviour:
    def start_again(self: Any, server: ServerProcess, mode: str) -> ServerProcess:
        """Start a server on the port of one that has ended."""
        again: ServerProcess = self.start_process(mode, "--port", str(server.port))
        self.assertEqual(server.port, again.port)
        return again

    def enter(self: Any, server: ServerProcess) -> PipeClient:
        client = PipeClient(self, "--port", str(server.port))
        for line in ("Alice", "correct horse", "correct horse"):
            client.say(line)
        self.assertEqual("Hello, Alice!", client.hear())
        return client

    def test_the_client_comes_back_with_its_token_and_goes_on(self: Any) -> None:
        server = self.start_process("auth")
        client = self.enter(server)
        for number in (signal.SIGKILL, signal.SIGTERM):
            server.signal(number)
            server.wait()
            lost = client.told()
            while "is lost" not in lost:
                self.assertIn("the server is stopping", lost)
                lost = client.told()
            self.assertRegex(lost, rf"^porter: warning: .* 127.0.0.1:{server.port} is lost \(.*\); coming back$")
            server = self.start_again(server, "auth")
            self.assertEqual(f"porter: warning: connected to 127.0.0.1:{server.port} again", client.told())
            self.assertEqual("Hello, Alice!", client.hear())
            client.say("still here")
            self.assertEqual("still here", client.hear())
        client.stdin.close()
        client.stdin = None
        self.assertEqual(0, client.wait(PATIENCE))

    def test_after_a_logout_a_refusal_or_the_end_of_the_input_it_does_not(self: Any) -> None:
        server = self.start_process("auth")
        client = self.enter(server)
        client.say("/logout")
        self.assertEqual("Goodbye!", client.hear())
        self.assertEqual(0, client.wait(PATIENCE))
        client = PipeClient(self, "--port", str(server.port))
        out, errors = client.communicate("Alice\n" + 3 * "wrong\nAlice\n", PATIENCE)
        self.assertEqual((77, ""), (client.returncode, out), errors)
        client = PipeClient(self, "--port", str(server.port))
        out, errors = client.communicate("Alice\ncorrect horse\nhello\n", PATIENCE)
        self.assertEqual((0, "Hello, Alice!\nhello\n", ""), (client.returncode, out, errors))

    def test_a_server_that_was_never_reached_is_69_at_once(self: Any) -> None:
        with refusing_port() as port:
            client = PipeClient(self, "--port", str(port))
            client.communicate("", PATIENCE)
        self.assertEqual(69, client.returncode)

    def test_lines_that_were_not_answered_are_counted_and_not_sent_again(self: Any) -> None:
        mode = {"silent": {"class": "tests.client.test_reconnecting:Silent"}}
        server = self.start_process("silent", handlers=mode)
        client = PipeClient(self, "--port", str(server.port))
        self.assertEqual("here", client.hear())
        for line in ("one", "two"):
            client.say(line)
        server.wait_for_log("heard two")
        server.signal(signal.SIGKILL)
        server.wait()
        self.assertRegex(client.told(), r"is lost \(.*\); 2 lines were not answered; coming back$")
        server = self.start_process("echo", "--port", str(server.port))
        client.told()
        client.say("three")
        self.assertEqual("three", client.hear())

    def test_a_question_after_the_loss_takes_no_line_that_is_meant_for_something_else(self: Any) -> None:
        server = self.start_process("auth")
        client = self.enter(server)
        server.signal(signal.SIGKILL)
        server.wait()
        client.told()
        self.start_process("auth", "--port", str(server.port), store=f"sqlite:///{self.folder}/empty.db")
        client.say("not a name")
        _, errors = client.communicate(None, PATIENCE)
        self.assertEqual(77, client.returncode)
        self.assertIn("the server asks 'Name:', after the connection was lost", errors)

    def test_on_a_terminal_the_line_that_was_being_typed_is_there_again(self: Any) -> None:
        server = self.start_process("echo")
        tls = [] if self.tls else ["--no-tls"]
        screen = Screen(self, "--reconnect", "--port", str(server.port), "--no-input", *tls)
        screen.wait_for(">")
        screen.type("half a li")
        screen.wait_for("> half a li")
        server.signal(signal.SIGKILL)
        server.wait()
        screen.wait_for_line("coming back")
        self.start_again(server, "echo")
        screen.wait_for("> half a li")
        screen.enter("ne")
        screen.wait_for("half a line", ">")
        server.close()
        screen.enter("exit")
        self.assertEqual(0, screen.status())

    def test_lines_that_were_pasted_answer_no_question_after_the_loss(self: Any) -> None:
        tls = [] if self.tls else ["--no-tls"]
        for plain, paste, end in (([], "\x1b[200~", "\x1b[201~"), (["--plain"], "", "")):
            server = self.start_process("dying", handlers={"dying": {"class": f"{__name__}:Dying"}})
            screen = Screen(self, "--reconnect", "--port", str(server.port), "--no-input", *tls, *plain)
            screen.wait_for(">")
            screen.type(f"{paste}die\nAlice\nmore\n{end}")
            screen.wait_for_line("coming back")
            store = f"sqlite:///{self.folder}/names{len(plain)}.db"
            again = self.start_process("identify", "--port", str(server.port), store=store)
            screen.wait_for("Your name:")
            screen.enter("Bob")
            screen.wait_for("Hello, Bob!", ">")
            screen.enter("exit")
            self.assertEqual(0, screen.status())
            again.stop()

    def test_ctrl_c_ends_the_waiting(self: Any) -> None:
        server = self.start_process("echo")
        tls = [] if self.tls else ["--no-tls"]
        screen = Screen(self, "--reconnect", "--port", str(server.port), "--no-input", *tls)
        screen.wait_for(">")
        server.signal(signal.SIGKILL)
        server.wait()
        screen.wait_for_line("coming back")
        screen.type("\x03")
        self.assertEqual(130, screen.status())

    def test_a_program_comes_back_and_resumes(self: Any) -> None:
        server = self.start_process("auth")
        client = Client(Endpoint("127.0.0.1", server.port), Access(tls=self.tls))
        self.addCleanup(client.close)
        client.register("Alice", "correct horse")
        server.signal(signal.SIGKILL)
        server.wait()
        with self.assertRaises(ConnectionEnded):
            client.receive()
        starting = threading.Thread(target=self.start_again, args=[server, "auth"])
        starting.start()
        client.reconnect()
        starting.join()
        self.assertEqual("Hello, Alice!", client.resume())
        self.assertEqual("hello", client.ask("hello"))


class Plain(Behaviour, PorterTestCase):
    def test_the_pauses_double_up_to_thirty_seconds_and_are_random_parts(self) -> None:
        pauses: list[float] = []
        with self.server("echo") as server:
            client = Client(Endpoint("127.0.0.1", server.port), Access(tls=False))
        tries = iter(range(9))
        connect = client._connect

        def fail() -> Any:
            if next(tries) < 8:
                raise ConnectionEnded("not yet")
            return connect()

        with self.server("echo", port=server.port), mock.patch.object(client, "_connect", fail):
            with (
                mock.patch("client.library.time.sleep", pauses.append),
                mock.patch("client.library.secrets.randbelow", lambda most: most // 2),
            ):
                client.reconnect()
            client.close()
        self.assertEqual([0.25, 0.5, 1, 2, 4, 8, 15, 15, 15], [pause for pause in pauses if pause > 0.1])


class Secure(Behaviour, PorterTestCase):
    tls = True
