"""The client without any comfort, for screen readers and dumb terminals: everything works, and nothing is drawn."""

import signal

from tests.client.test_terminal import Screen
from tests.support import PorterTestCase, wait_until


class Plain(PorterTestCase):
    tls = True

    def clients(self, port: int) -> list[Screen]:
        usual = ("--port", str(port), "--no-input", "--no-save")
        return [Screen(self, *usual, TERM="dumb"), Screen(self, *usual, "--plain")]

    def test_a_conversation_has_no_escape_sequence_and_hides_the_password(self) -> None:
        with self.server("auth") as server:
            for number, client in enumerate(self.clients(server.port)):
                name = f"Alice{number}"
                client.wait_for("Name:")
                client.enter(name)
                client.wait_for_line("Choose a password")
                client.enter("short")
                client.wait_for_line("a password has at least 8 characters")
                for question in ("Choose a password", "Repeat the password"):
                    client.wait_for_line(question)
                    client.enter("correct horse")
                client.wait_for(f"Hello, {name}!", ">")
                client.enter("hello")
                client.wait_for("> hello", "hello", ">")
                client.enter("exit")
                self.assertEqual(0, client.status())
                self.assertNotIn(b"\x1b", client.raw)
                self.assertNotIn(b"horse", client.raw)

    def test_ctrl_c_ends_with_130_ctrl_d_with_0_and_term_with_143(self) -> None:
        with self.server("echo") as server:
            for key, wanted in (("\x03", 130), ("\x04", 0)):
                for client in self.clients(server.port):
                    client.wait_for(">")
                    client.type(key)
                    self.assertEqual(wanted, client.status())
            client = self.clients(server.port)[0]
            client.wait_for(">")
            client.child.kill(signal.SIGTERM)
            self.assertEqual(143, client.status())

    def test_ctrl_d_in_the_middle_of_a_line_does_not_end_it(self) -> None:
        with self.server("echo") as server:
            client = self.clients(server.port)[0]
            client.wait_for(">")
            client.type("hel\x04")
            client.enter("lo")
            client.wait_for("> hello", "hello", ">")

    def test_what_is_pushed_comes_above_the_prompt_and_the_typed_part_is_kept(self) -> None:
        with self.server("chat") as server:
            bob = server.talk("127.0.0.2")
            bob.register("Bob")
            client = self.clients(server.port)[0]
            client.wait_for("Name:")
            client.enter("Alice")
            for _ in range(2):
                client.wait_for_line("assword")
                client.enter("correct horse")
            client.wait_for(">")
            client.type("half ")
            client.wait_for_line("> half")
            bob.say("are you there?")
            client.wait_for("Bob: are you there?", ">")
            client.enter("a line")
            wait_until(lambda: "Alice: half a line" in client.lines(), "the whole line")

    def test_a_server_that_ends_is_told_and_the_terminal_has_its_echo_again(self) -> None:
        with self.server("echo") as server:
            client = Screen(
                self,
                "--port",
                str(server.port),
                "--no-input",
                "--plain",
                under=["bash", "-c", '"$@"; stty -a | grep -o " echo "; echo ended $?', "bash"],
            )
            client.wait_for(">")
            server.service.stop_listening()
            server.service.drain()
            client.wait_for_line("the server is stopping")
            client.wait_for(" echo", "ended 0")
