"""The tree of errors: statuses, templates, and problems with their positions."""

import ast
import pickle
import string
import unittest

from common import PROJECT_ROOT, errors
from common.errors import ConfigurationError, ExitStatus, PorterError, Problem


def constructions() -> list[tuple[str, ast.Call]]:
    """Return each call that makes an error of the tree from a template, with its file and line."""
    names = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, PorterError)
    }
    names -= {"ConfigurationError"}  # it is made from problems
    found = []
    for package in ("server", "client", "common", "benchmarks"):
        for path in (PROJECT_ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in names
                    and node.args
                ):
                    found.append((f"{path}:{node.lineno}", node))
    return found


class Errors(unittest.TestCase):
    def test_every_error_is_in_the_tree_and_in_the_docstring_that_shows_it(self) -> None:
        for name, value in vars(errors).items():
            if isinstance(value, type) and issubclass(value, Exception):
                self.assertTrue(issubclass(value, PorterError), name)
                self.assertIn(f" {name}", " " + (errors.__doc__ or ""), "missing in the picture")

    def test_statuses_are_those_of_sysexits(self) -> None:
        self.assertEqual([0, 1, 64, 69, 76, 77, 78, 130], [int(status) for status in ExitStatus])
        self.assertEqual(ExitStatus.PROTOCOL, errors.TrustError.status)
        self.assertEqual(ExitStatus.UNAVAILABLE, errors.StoreUnavailable.status)

    def test_a_configuration_error_shows_all_problems_with_their_positions(self) -> None:
        error = ConfigurationError([Problem("a.yaml", 3, 5, "port", "wrong"), Problem("a.yaml", 0, 0, "", "gone")])
        self.assertEqual("a.yaml:3:5: port: wrong\na.yaml: gone", str(error))

    def test_an_error_keeps_its_template_and_values_when_it_is_pickled(self) -> None:
        error = errors.MessageTooLong("a message of {length} bytes is over {limit}", length=6, limit=5)
        for each in (error, pickle.loads(pickle.dumps(error))):
            self.assertEqual("a message of 6 bytes is over 5", str(each))
            self.assertEqual(
                ("a message of {length} bytes is over {limit}", {"length": 6, "limit": 5}),
                (each.template, each.values),
            )

    def test_the_reason_of_a_refusal_is_its_text_unless_another_is_given(self) -> None:
        self.assertEqual("too short: 3", errors.Refusal("too short: {length}", length=3).reason)
        self.assertEqual("is locked", errors.Refusal("wrong password", reason="is locked").reason)

    def test_a_value_with_braces_is_shown_as_it_is(self) -> None:
        self.assertEqual("no host {x}", str(errors.UsageError("no host {host}", host="{x}")))

    def test_each_error_has_a_fixed_template_that_can_be_translated(self) -> None:
        found = constructions()
        self.assertGreater(len(found), 60)
        for location, call in found:
            template = call.args[0]
            self.assertNotIsInstance(template, ast.JoinedStr, location)
            if isinstance(template, ast.Constant):
                fields = {name for _, name, _, _ in string.Formatter().parse(str(template.value)) if name is not None}
                given = (
                    {keyword.arg for keyword in call.keywords} - {"reason"}
                    if "reason" not in fields
                    else {keyword.arg for keyword in call.keywords}
                )
                self.assertEqual(fields, given, location)
            self.assertEqual(1, len(call.args), location)
