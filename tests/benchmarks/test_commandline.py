"""The load generator against real servers: each kind of work, its figures, and its errors."""

import json
import socket
import subprocess
import sys
from typing import Any, ClassVar

from tests.support import PATIENCE, PorterTestCase, RunningServer, environment

QUICK = ("--seconds", "0.3", "--warmup", "0.1", "-c", "4", "--processes", "2")


class Bench(PorterTestCase):
    tls: ClassVar[bool] = False

    def bench(self, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "benchmarks", *arguments],
            cwd=self.folder,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def figures(self, server: RunningServer, *arguments: str) -> dict[str, Any]:
        tls = () if self.tls else ("--no-tls",)
        status, out, errors = self.bench("--port", str(server.port), *tls, *QUICK, "--json", *arguments)
        self.assertEqual((0, ""), (status, errors))
        found: dict[str, Any] = json.loads(out)
        self.assertEqual({}, found["errors"])
        self.assertGreater(found["messages"], 0)
        self.assertLessEqual(found["p50_ms"], found["p99_ms"])
        return found

    def test_each_kind_of_work_gives_figures(self) -> None:
        with self.server("echo") as server:
            for arguments in ((), ("-d", "16"), ("-s", "65536", "-d", "2"), ("-s", "0"), ("--work", "connect")):
                with self.subTest(arguments):
                    self.figures(server, *arguments)

    def test_an_open_loop_keeps_its_rate(self) -> None:
        with self.server("echo") as server:
            found = self.figures(server, "--rate", "200", "--seconds", "1")
        self.assertAlmostEqual(200, found["messages_per_second"], delta=40)

    def test_logins_resumes_and_messages_of_logged_in_users_give_figures(self) -> None:
        cheap = {"auth": {"options": {"passwords": {"argon2": {"memory_kib": 64, "time_cost": 1}}}}}
        self.write("password", "correct horse\n")
        account = ("--name", "ann", "--password-file", str(self.folder / "password"))
        with self.server("auth", handlers=cheap) as server:
            self.register_ann(server)
            for arguments in (("--work", "login"), ("--work", "resume"), ("-d", "4")):
                with self.subTest(arguments):
                    self.figures(server, *account, *arguments, "-c", "2")

    def test_members_of_a_chat_hear_each_other(self) -> None:
        cheap = {"chat": {"options": {"passwords": {"argon2": {"memory_kib": 64, "time_cost": 1}}}}}
        self.write("password", "correct horse\n")
        account = ("--name", "ann", "--password-file", str(self.folder / "password"))
        with self.server("chat", handlers=cheap) as server:
            found = self.figures(server, *account, "--work", "chat", "--rate", "20", "--seconds", "1.5")
        self.assertAlmostEqual(80, found["messages_per_second"], delta=20)

    def register_ann(self, server: RunningServer) -> None:
        client = server.talk()
        client.register("ann", "correct horse")
        client.connection.close()


class SecureBench(Bench):
    tls = True


class Mistakes(Bench):
    def test_a_missing_server_is_reported(self) -> None:
        with self.server("echo") as server:
            port = str(server.port)
        status, out, errors = self.bench("--no-tls", "--port", port, *QUICK)
        self.assertEqual((69, ""), (status, out))
        self.assertIn(f"127.0.0.1, port {port}: Connection refused", errors)

    def test_a_server_that_never_answers_gives_no_figure(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            status, out, errors = self.bench("--no-tls", "--port", str(listener.getsockname()[1]), *QUICK)
        self.assertEqual((69, ""), (status, out))
        self.assertIn("no answer within 0.4 seconds", errors)

    def test_a_server_that_answers_something_else_is_an_error(self) -> None:
        with self.server("identify") as server:
            status, _, errors = self.bench("--no-tls", "--port", str(server.port), *QUICK)
        self.assertEqual(69, status)
        self.assertIn("an answer is not what was sent", errors)

    def test_wrong_usage_ends_with_64(self) -> None:
        for arguments, text in (
            (("--work", "login"), "needs --name and --password-file"),
            (("--name", "ann"), "--name needs --password-file"),
            (("--name", "ann", "--password-file", "nowhere"), "nowhere: No such file"),
            (("--rate", "10", "-d", "2"), "--rate is for"),
            (("-c", "0"), "--connections must be more than 0"),
            (("-s", "-1"), "--size must be from 0"),
            (("--plot", "x.gif"), "makes .png and .svg"),
            (("--port", "x"), "a port is a number"),
        ):
            with self.subTest(arguments):
                status, out, errors = self.bench(*arguments)
                self.assertEqual((64, ""), (status, out))
                self.assertIn(text, errors)
                self.assertNotIn("Traceback", errors)

    def test_a_password_is_only_sent_to_this_machine(self) -> None:
        self.write("password", "correct horse\n")
        arguments = ("--host", "192.0.2.1", "--name", "ann", "--password-file", str(self.folder / "password"))
        status, _, errors = self.bench(*arguments)
        self.assertEqual(64, status)
        self.assertIn("only sent to this machine", errors)
