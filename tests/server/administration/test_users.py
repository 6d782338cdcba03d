"""./run.sh users: the administrator's commands, also while a server runs."""

import json
import os
import pwd
import stat
import sys
import time
import unittest
from datetime import datetime

import pexpect

from common.wire.kinds import Kind
from server.administration import users
from tests.support import PATIENCE, PorterTestCase, call_program, environment, run_program


class Users(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = str(self.write_configuration())

    def users(self, *arguments: str, input: str = "") -> tuple[int, str, str]:
        return call_program(users.main, *arguments, input=input, PORTER_CONFIG=self.path)

    def names(self) -> list[str]:
        return [account["name"] for account in json.loads(self.users("list", "--json")[1])]

    def test_an_account_is_added_listed_and_removed(self) -> None:
        self.assertEqual((0, "Alice is added\n", ""), self.users("add", "Alice", input="correct horse\nmore\n"))
        (account,) = json.loads(self.users("list", "--json")[1])
        keys = {"name", "disabled", "blocked", "locked_until", "created", "last_login", "sessions"}
        self.assertEqual(keys, set(account))
        self.assertEqual(("Alice", False), (account["name"], account["disabled"]))
        self.assertRegex(
            self.users("list")[1], r"NAME +STATE +CREATED +LAST LOGIN +SESSIONS\nAlice +enabled .* never +0\n"
        )
        self.assertEqual((0, "Alice is removed\n", ""), self.users("remove", "alice", "--yes"))
        self.assertEqual([], self.names())

    def test_a_wrong_command_gives_status_64_with_a_message(self) -> None:
        self.users("add", "Alice", input="correct horse\n")
        for arguments, given, message in (
            (["add", "alice"], "correct horse\n", "alice exists already"),
            (["add", "a1ice"], "correct horse\n", "looks like"),
            (["add", "a b"], "correct horse\n", "space"),
            (["add", "\u0301"], "correct horse\n", "must not begin with a combining mark"),
            (["add", "bob"], "short\n", "at least 8"),
            (["add", "bob"], "", "standard input"),
            (["password", "nobody"], "correct horse\n", "no account 'nobody'"),
            (["disable", "nobody"], "", "no account"),
            (["enable", "nobody"], "", "no account"),
            (["remove", "nobody", "--yes"], "", "no account"),
            (["logout", "nobody"], "", "no account"),
            (["remove", "alice"], "", "give --yes"),
            (["forget", "1.2.3.4"], "", "identify knows no name"),
            (["forget", "nonsense"], "", "is not an address"),
            (["frobnicate"], "", "invalid choice"),
            ([], "", "COMMAND"),
        ):
            with self.subTest(arguments):
                status, out, errors = self.users(*arguments, input=given)
                self.assertEqual((64, ""), (status, out))
                self.assertIn(message, errors)
                self.assertNotIn("Traceback", errors)
        self.assertEqual(["Alice"], self.names())

    def test_a_command_takes_effect_while_a_server_runs(self) -> None:
        with self.server("auth") as server:
            token = server.talk().register("Alice")

            def comes_back() -> bool:
                client = server.talk()
                client.give_token(token)
                return client.next()[0] is Kind.TEXT

            self.assertTrue(comes_back())
            self.assertEqual(0, self.users("logout", "alice")[0])
            self.assertFalse(comes_back())
            token = server.talk().log_in("Alice")
            self.assertEqual(0, self.users("disable", "alice")[0])
            self.assertFalse(comes_back())
            client = server.talk()
            client.give_token()
            client.fail("Alice", "correct horse")
            self.assertEqual(0, self.users("enable", "alice")[0])
            token = server.talk().log_in("Alice")
            self.assertEqual(0, self.users("password", "alice", input="another horse\n")[0])
            self.assertFalse(comes_back())
            server.talk().log_in("Alice", "another horse")

    def test_addresses_are_listed_and_forgotten(self) -> None:
        with self.server("identify") as server:
            client = server.talk("127.0.0.7")
            client.answer(Kind.ASK, "Bob")
            client.expect(Kind.TEXT)
            (address,) = json.loads(self.users("addresses", "--json")[1])
            self.assertEqual(("127.0.0.7", "Bob"), (address["address"], address["name"]))
            self.assertIn("127.0.0.7", self.users("addresses")[1])
            self.assertEqual(0, self.users("forget", "::ffff:127.0.0.7")[0])
            server.talk("127.0.0.7").expect(Kind.ASK)

    def test_a_locked_account_is_listed_until_its_lock_ends(self) -> None:
        lockout = {"lockout": {"free_attempts": 1, "first_delay": 1000, "max_delay": 1000}}
        with self.server("auth", handlers={"auth": {"options": lockout}}) as server:
            server.talk().register("Alice")
            self.assertIn("  enabled  ", self.users("list")[1])
            client = server.talk()
            client.give_token()
            before = time.time()
            client.fail("Alice")
            client.fail("Alice")
            after = time.time()
            (account,) = json.loads(self.users("list", "--json")[1])
            self.assertTrue(before + 1000 <= account["locked_until"] <= after + 1000, account)
            self.assertEqual((False, False), (account["blocked"], account["disabled"]))
            moment = datetime.fromtimestamp(account["locked_until"]).astimezone().isoformat(timespec="seconds")
            self.assertIn(f"  locked until {moment}  ", self.users("list")[1])
            self.users("enable", "alice")
            (account,) = json.loads(self.users("list", "--json")[1])
            self.assertIsNone(account["locked_until"])

    def test_each_act_is_a_line_in_the_log_and_a_question_is_none(self) -> None:
        with self.server("identify") as server:
            client = server.talk("127.0.0.7")
            client.answer(Kind.ASK, "Bob")
            client.expect(Kind.TEXT)
        log = self.folder / "server.log"
        log.unlink()
        for arguments in (["list"], ["addresses"], ["disable", "nobody"]):
            self.users(*arguments)
        self.assertFalse(log.exists())
        self.users("add", "Alice", input="correct horse\n")
        self.users("password", "alice", input="another horse\n")
        for arguments in (
            ["disable", "alice"],
            ["enable", "alice"],
            ["logout", "alice"],
            ["remove", "alice", "--yes"],
        ):
            self.users(*arguments)
        self.users("forget", "127.0.0.7")
        me = pwd.getpwuid(os.getuid()).pw_name
        acts = (
            "added Alice",
            "changed the password of Alice",
            "disabled Alice",
            "enabled Alice",
            "ended the sessions of Alice",
            "removed Alice",
            "forgot the name of 127.0.0.7",
        )
        lines = [line.partition(" INFO - ")[2] for line in log.read_text().splitlines()]
        self.assertEqual([f"administrator {me} {act}" for act in acts], lines)
        self.assertNotIn("horse", log.read_text())

    def test_a_log_that_cannot_be_written_costs_a_warning_and_not_the_act(self) -> None:
        self.write("file", "")
        configuration = (self.folder / "logging.yaml").read_text()
        in_a_file = configuration.replace(f"{self.folder}/server.log", f"{self.folder}/file/server.log")
        unknown = "version: 1\nhandlers: {x: {class: no.such.Handler}}\n"
        for name, text, warning in (("bob", in_a_file, "cannot write"), ("carol", unknown, "no.such.Handler")):
            self.write("logging.yaml", text)
            status, out, errors = self.users("add", name, input="correct horse\n")
            self.assertEqual((0, f"{name} is added\n"), (status, out))
            self.assertIn(warning, errors)
            self.assertNotIn("Traceback", errors)
        self.assertEqual(["bob", "carol"], self.names())

    @unittest.skipIf(os.geteuid() != 0, "only root can give a file to another user")
    def test_a_log_that_root_makes_belongs_to_the_owner_of_its_folder(self) -> None:
        configuration = (self.folder / "logging.yaml").read_text()
        self.write("logging.yaml", configuration.replace("server.log", "logs/server.log"))
        os.chown(self.folder, 65534, 65534)
        self.users("add", "Alice", input="correct horse\n")
        for path in (self.folder / "logs", self.folder / "logs/server.log"):
            self.assertEqual((65534, 65534), (path.stat().st_uid, path.stat().st_gid))
        self.assertEqual(0o640, stat.S_IMODE((self.folder / "logs/server.log").stat().st_mode))

    def test_the_module_runs_as_a_program(self) -> None:
        done = run_program(self.folder, "server.administration.users", "list", PORTER_CONFIG=self.path)
        self.assertEqual((0, "NAME  STATE  CREATED  LAST LOGIN  SESSIONS\n"), (done.returncode, done.stdout))

    def test_an_unavailable_store_gives_status_69(self) -> None:
        self.write("file", "")
        self.path = str(self.write_configuration(store=f"sqlite:///{self.folder}/file/x.db"))
        self.assertEqual(69, self.users("list")[0])

    def test_help_names_each_command(self) -> None:
        status, out, _ = self.users("--help")
        self.assertEqual(0, status)
        for command in ("list", "add", "password", "disable", "enable", "remove", "logout", "addresses", "forget"):
            self.assertIn(f"\n    {command} ", out)
            self.assertEqual(0, self.users(command, "--help")[0])

    def test_the_configuration_can_be_named_before_and_after_the_command(self) -> None:
        other = str(self.write_configuration("other.yaml", store=f"sqlite:///{self.folder}/other.db"))
        self.users("add", "Alice", "--config", other, input="correct horse\n")
        self.assertEqual(
            ["Alice"], [a["name"] for a in json.loads(self.users("--config", other, "list", "--json")[1])]
        )
        self.assertEqual([], self.names())

    def spawn(self, *arguments: str) -> "pexpect.spawn[str]":
        env = environment(self.folder, PORTER_CONFIG=self.path)
        child = pexpect.spawn(
            sys.executable,
            ["-P", "-m", "server.administration.users", *arguments],
            env=env,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        self.addCleanup(child.close, force=True)
        return child

    def finish(self, child: "pexpect.spawn[str]") -> int | None:
        child.expect(pexpect.EOF)
        child.wait()
        return child.exitstatus

    def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(self) -> None:
        for repeated, wanted in (("correct horse", 0), ("another horse", 64)):
            child = self.spawn("add", f"Alice{wanted}")
            child.expect_exact("Password: ")
            child.sendline("correct horse")
            child.expect_exact("Repeat the password: ")
            self.assertNotIn("horse", child.before)
            child.sendline(repeated)
            self.assertEqual(wanted, self.finish(child))
            self.assertNotIn("horse", child.before)
        self.assertEqual(["Alice0"], self.names())

    def test_on_a_terminal_a_removal_must_be_confirmed(self) -> None:
        self.users("add", "Alice", input="correct horse\n")
        for answer, left in (("no", ["Alice"]), ("what?\nno", ["Alice"]), ("yes", [])):
            child = self.spawn("remove", "alice")
            child.expect_exact("Remove Alice? (yes/no) ")
            child.sendline(answer)
            self.assertEqual(0, self.finish(child))
            self.assertEqual(left, self.names())

    def test_ctrl_c_at_the_question_gives_status_130(self) -> None:
        child = self.spawn("add", "Alice")
        child.expect_exact("Password: ")
        child.sendintr()
        self.assertEqual(130, self.finish(child))
