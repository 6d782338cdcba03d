"""The administrator's commands, without their command line."""

import argparse
import json

from server.administration.administrator import Administrator
from server.handlers.auth import AuthHandler
from tests.support import PorterTestCase


class Strict(AuthHandler):
    """A custom handler that is built on auth."""


class Commands(PorterTestCase):
    def administrator(self, **settings: object) -> Administrator:
        made = Administrator(self.configuration(**settings))
        self.addCleanup(made.close)
        return made

    def test_the_password_rules_come_from_the_handler_built_on_auth(self) -> None:
        strict = {"class": f"{__name__}:Strict", "options": {"passwords": {"min_length": 30}}}
        for handlers, wanted in (({}, 8), ({"auth": strict}, 30)):
            self.assertEqual(wanted, self.administrator(handlers=handlers)._passwords._options.min_length)

    def test_a_stored_name_cannot_move_the_administrators_cursor(self) -> None:
        administrator = self.administrator()
        administrator._visitors.introduce("10.0.0.1", "Bob")
        with administrator.store.writing() as transaction:
            transaction.exec_driver_sql("UPDATE addresses SET name = 'a\x1b[2J\nb'")
        table = administrator.addresses(argparse.Namespace(json=False))
        self.assertIn("a\\x1b[2J\\nb", table)
        (row,) = json.loads(administrator.addresses(argparse.Namespace(json=True)))
        self.assertEqual("a\x1b[2J\nb", row["name"])
