"""The edited input line: commands that are completed, lines that are pasted, and what stands beside them."""

import re
import shutil
from pathlib import Path

from client.editor import COMMANDS
from common import PROJECT_ROOT
from server.handlers.chat import ChatHandler
from tests.client.test_terminal import Screen
from tests.support import PorterTestCase, wait_until

PASTE, END = "\x1b[200~", "\x1b[201~"


class Line(PorterTestCase):
    tls = True

    def client(self, port: int, *arguments: str) -> Screen:
        return Screen(self, "--port", str(port), "--no-input", *arguments)

    def test_tab_completes_a_command_and_shows_those_that_begin_alike(self) -> None:
        with self.server("echo") as server:
            client = self.client(server.port)
            client.wait_for(">")
            client.type("/pass\t")
            client.wait_for("> /password")
            client.enter()
            client.wait_for("> /password", "/password", ">")
            client.type("/wh\t\t")
            client.wait_for_line("/who    /whoami")

    def test_after_help_the_commands_are_those_that_it_has_explained(self) -> None:
        with self.server("auth") as server:
            client = self.client(server.port)
            client.wait_for("Name:")
            client.type(f"{PASTE}Alice\ncorrect horse\ncorrect horse\n{END}")
            client.wait_for("Hello, Alice!", ">")
            client.type("/who\t\t")
            client.wait_for_line("/who    /whoami")
            client.type("\x15/help\r")
            client.wait_for_line("Any other line is echoed.")
            client.type("/who\t")
            client.wait_for("> /whoami")

    def test_the_commands_of_porters_own_modes_are_known(self) -> None:
        found = set()
        for handler in ChatHandler.__mro__:
            for name in vars(handler):
                if name.startswith("do_"):
                    found.add("/" + name.removeprefix("do_").replace("_", "-"))
        self.assertEqual(set(COMMANDS), found)

    def test_a_tab_in_a_line_that_is_no_command_changes_nothing(self) -> None:
        with self.server("echo") as server:
            client = self.client(server.port)
            client.wait_for(">")
            client.type("a\tb")
            client.wait_for("> ab")

    def test_each_line_that_is_pasted_is_a_line_and_the_last_one_waits_for_enter(self) -> None:
        with self.server("echo") as server:
            client = self.client(server.port)
            client.wait_for(">")
            client.type(f"{PASTE}one\r\ntwo\tand\nthree{END}")
            client.wait_for("> one", "one", "> two^Iand", "two     and", "> three")
            client.enter(" and more")
            client.wait_for("> three and more", "three and more", ">")
            history = (self.folder / "state/porter/history").read_text()
            self.assertEqual(["one", "two\tand", "three and more"], re.findall(r"^\+(.*)$", history, re.MULTILINE))

    def test_pasted_lines_answer_questions_and_none_that_is_secret_is_shown(self) -> None:
        with self.server("auth") as server:
            client = self.client(server.port)
            client.wait_for("Name:")
            client.type(f"{PASTE}Alice\ncorrect horse\ncorrect horse\nhello\n{END}")
            client.wait_for("Hello, Alice!", "> hello", "hello", ">")
            self.assertNotIn(b"horse", client.raw)

    def test_beside_the_line_stands_where_it_goes_and_as_whom(self) -> None:
        with self.server("identify") as server:
            client = self.client(server.port)
            client.wait_for("Your name:")
            client.enter("Alice")
            client.wait_for(">")
            status = f"127.0.0.1:{server.port} (TLS) Hello, Alice!"
            self.assertEqual(f"> {status:>78}", self.last(client))
            client.enter("hi")
            client.wait_for("> hi", "hi", ">")
            self.assertEqual(1, sum(status in line for line in client.shown()))
            client.type("x" * 60)
            wait_until(lambda: "x" * 60 in "".join(client.lines()), "the line")
            self.assertNotIn("TLS", self.last(client))

    def last(self, client: Screen) -> str:
        return [line for line in client.shown() if line.startswith(">")][-1].rstrip()


class Settings(PorterTestCase):
    def test_the_status_can_be_turned_off(self) -> None:
        project = self.copy_of_the_client()
        with self.server("echo") as server:
            client = Screen(self, "--port", str(server.port), "--no-input", "--no-tls", PYTHONPATH=str(project))
            client.wait_for(">")
            self.assertNotIn("TLS", client.shown()[1])

    def copy_of_the_client(self) -> Path:
        project = self.folder / "project"
        for name in ("client", "common", "conf"):
            shutil.copytree(PROJECT_ROOT / name, project / name)
        (project / "logs").mkdir()
        settings = project / "conf/client.yaml"
        settings.write_text(settings.read_text().replace("status: true", "status: false"))
        return project
