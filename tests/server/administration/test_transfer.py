"""./run.sh users export and import: accounts go from one store to another, all or none."""

import json
from typing import Any

from common.wire.kinds import Kind
from server.administration import users
from tests.support import QUICK_HASHES, PorterTestCase, call_program


class Transfer(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.settings: dict[str, Any] = {"mode": "auth", "handlers": {"auth": {"options": QUICK_HASHES}}}
        self.path = str(self.write_configuration(**self.settings))

    def users(self, *arguments: str, input: str = "") -> tuple[int, str, str]:
        return call_program(users.main, *arguments, "--config", self.path, input=input)

    def move_to_another_store(self) -> None:
        self.settings = {**self.settings, "store": f"sqlite:///{self.folder}/data/other.db"}
        self.path = str(self.write_configuration(**self.settings))

    def names(self) -> list[str]:
        return [account["name"] for account in json.loads(self.users("list", "--json")[1])]

    def test_users_log_in_with_their_passwords_on_the_other_store(self) -> None:
        for name in ("Alice", "\u0416\u0435\u043d\u044f"):
            self.users("add", name, input="correct horse\n")
        self.users("disable", "alice")
        status, out, errors = self.users("export")
        self.assertEqual((0, ""), (status, errors))
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([["name", "password_hash", "disabled", "created"]] * 2, [list(row) for row in rows])
        self.assertEqual([True, False], [row["disabled"] for row in rows])
        file = self.write("users.jsonl", out)
        self.move_to_another_store()
        imported = self.users("import", str(file))
        self.assertEqual((0, "accounts imported: 2; there already: 0\n", ""), imported)
        self.assertEqual(out, self.users("export")[1])
        with self.server(**self.settings) as server:
            talker = server.talk()
            talker.log_in("\u0436\u0435\u043d\u044f")
            refused = server.talk()
            refused.give_token()
            refused.fail("Alice", "correct horse")
            refused.expect(Kind.ASK)
        self.assertRegex((self.folder / "server.log").read_text(), r"administrator \S+ imported 2 accounts")

    def test_a_name_that_exists_is_an_error_and_nothing_is_imported_unless_it_is_skipped(self) -> None:
        for name in ("Alice", "Bob"):
            self.users("add", name, input="correct horse\n")
        file = self.write("users.jsonl", self.users("export")[1])
        self.users("remove", "alice", "--yes")
        status, _, errors = self.users("import", str(file))
        self.assertEqual((64, True), (status, "Bob exists already: nothing is imported" in errors))
        self.assertEqual(["Bob"], self.names())
        skipped = self.users("import", str(file), "--skip-existing")
        self.assertEqual((0, "accounts imported: 1; there already: 1\n", ""), skipped)
        self.assertEqual(["Alice", "Bob"], self.names())

    def test_a_wrong_line_is_named_by_its_number_and_nothing_is_imported(self) -> None:
        self.users("add", "Alice", input="correct horse\n")
        right = self.users("export")[1].replace("Alice", "Bob")
        row = json.loads(right)
        for changes, said in (
            ({"password_hash": "plain"}, "cannot be used"),
            ({"password_hash": row["password_hash"].replace("m=8", "m=99999999")}, "costs too much"),
            ({"disabled": 0}, "disabled has a wrong type"),
            *[({"created": wrong}, "created is no time") for wrong in (float("inf"), 1_700_000_000_000, 10**320, -1)],
            ({"name": "a b"}, "space"),
            ({"token": "x"}, "and nothing else"),
        ):
            file = self.write("users.jsonl", right + "\n" + json.dumps({**row, **changes}) + "\n")
            status, _, errors = self.users("import", str(file))
            self.assertEqual(64, status)
            self.assertIn("line 3: ", errors)
            self.assertIn(said, errors)
        for text in ("[" * 100_000, "x", "[]", "\udcff"):
            file = self.folder / "users.jsonl"
            file.write_bytes(text.encode(errors="surrogateescape"))
            self.assertEqual(64, self.users("import", str(file))[0])
        self.assertEqual(64, self.users("import", str(self.folder / "missing"))[0])
        self.assertEqual(["Alice"], self.names())
        look_alike = self.write("users.jsonl", right.replace("Bob", "A1ice"))
        status, _, errors = self.users("import", str(look_alike))
        self.assertEqual((64, True), (status, "looks like one" in errors))
