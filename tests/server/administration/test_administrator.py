"""The administrator's commands, without their command line."""

import argparse
import json

from server.administration.administrator import Administration
from server.handlers.auth import AuthHandler
from tests.support import PorterTestCase


class Strict(AuthHandler):
    """A handler of somebody's own, built on auth."""


class Commands(PorterTestCase):
    def administration(self, **settings: object) -> Administration:
        made = Administration(self.configuration(**settings))
        self.addCleanup(made.store.close)
        return made

    def test_the_rules_for_passwords_are_those_of_whichever_handler_is_built_on_auth(self) -> None:
        strict = {"class": f"{__name__}:Strict", "options": {"passwords": {"min_length": 30}}}
        for handlers, wanted in (({}, 8), ({"auth": strict}, 30)):
            self.assertEqual(wanted, self.administration(handlers=handlers)._passwords._options.min_length)

    def test_what_a_stored_name_holds_cannot_move_the_administrator_s_cursor(self) -> None:
        administration = self.administration()
        administration._clients.introduce("10.0.0.1", "Bob")
        with administration.store.writing() as transaction:
            transaction.exec_driver_sql("UPDATE addresses SET name = 'a\x1b[2J\nb'")
        table = administration.addresses(argparse.Namespace(json=False))
        self.assertIn("a\\x1b[2J\\nb", table)
        (row,) = json.loads(administration.addresses(argparse.Namespace(json=True)))
        self.assertEqual("a\x1b[2J\nb", row["name"])
