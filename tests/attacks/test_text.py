"""Hostile text: in names, messages, prompts and errors, on every path that it can take."""

import re
from functools import partial

from common.wire.kinds import Kind
from server.administration import users
from tests.attacks.attacker import AttackCase, sources
from tests.support import call_program

EVIL = (
    "x\n2026-11-22T00:00:00.000+00:00 INFO - admin logged in",
    "x\r\ny",
    "\x1b[2J\x1b[1;1H",
    "\x9b2J",
    "\x07\x08\x7f",
    "\u202egnp.exe",
    "\u2066\u2069",
    "a\u2028b\u2029c\u0085d",
    "\x00",
    "%s%s%n%(name)s",
    "{0}{name.__class__}",
    "$(reboot)`id`",
    "\ufeff",
    "\U000e0041",
    "<b>&amp;",
    "' OR 1=1 --",
)
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d "
    r"(INFO|WARNING|ERROR) (-|127\.[\d.]+:\d+) [\x20-\x7e\xa0-\uffff]+"
)


class Text(AttackCase):
    def assert_harmless(self, text: str) -> None:
        self.assertNotRegex(text, r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")

    def test_no_name_or_message_forges_a_log_line(self) -> None:
        server = self.start_process(mode="auth")
        for source, evil in zip(sources(len(EVIL)), EVIL, strict=True):
            client = server.talk(source)
            client.give_token(evil)
            client.answer(Kind.ASK, evil)
            kind, _ = client.next()  # a few of them are allowed names
            if kind is Kind.SECRET:
                client.say(evil * 3)
                client.next()
            client.connection.close()
        client = server.talk()
        client.register("alice")
        for evil in EVIL:
            for line in (evil, f"/{evil}"):
                client.say(line)
                kind, said = client.next()
                self.assertEqual((Kind.TEXT, line) if kind is Kind.TEXT else (Kind.ERROR, said), (kind, said))
        client.connection.close()
        server.stop()
        lines = server.log().splitlines()
        for line in lines:
            self.assertRegex(line, rf"\A{LINE.pattern}\Z")
            self.assert_harmless(line)
        self.assertEqual(1 + len(EVIL), sum("client connected" in line for line in lines))
        self.assertEqual(0, sum("admin logged in" in line and "refused" not in line for line in lines))

    def test_allowed_names_are_shown_unchanged_and_are_harmless(self) -> None:
        server = self.start_process(mode="identify")
        shown = []
        for source, evil in zip(sources(len(EVIL)), EVIL, strict=True):
            client = server.talk(source)
            client.answer(Kind.ASK, evil)
            kind, said = client.next()
            self.assert_harmless(said)
            if kind is Kind.TEXT:
                self.assertEqual(f"Hello, {evil}!", said)
                shown.append(evil)
        self.assertIn("%s%s%n%(name)s", shown)
        self.assertIn("' OR 1=1 --", shown)
        administer = partial(call_program, users.main, "--config", str(self.folder / "server.yaml"))
        status, out, _ = administer("addresses")
        self.assertEqual((0, len(shown) + 1), (status, len(out.splitlines())))
        self.assert_harmless(out.replace("\n", ""))

    def test_the_administrators_errors_and_lists_are_harmless(self) -> None:
        path = str(self.write_configuration(mode="auth"))
        for evil in EVIL:
            name = evil.replace("\0", "")
            for command in (["add", name], ["disable", name], ["forget", name], [name]):
                given = "correct horse\n" if command[0] == "add" else ""
                _, out, errors = call_program(users.main, "--config", path, *command, input=given)
                self.assert_harmless((out + errors).replace("\n", ""))
        self.assert_harmless(call_program(users.main, "--config", path, "list")[1].replace("\n", ""))
