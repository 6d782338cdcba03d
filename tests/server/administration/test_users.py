"""./run.sh users: the administrator's commands, also while a server runs."""

import json
import sys

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
        self.assertEqual({"name", "disabled", "blocked", "created", "last_login", "sessions"}, set(account))
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
