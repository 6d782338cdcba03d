"""The tree of errors: statuses, and problems that name their place."""

import unittest

from common import errors
from common.errors import ConfigurationError, ExitStatus, PorterError, Problem


class Errors(unittest.TestCase):
    def test_every_error_is_in_the_tree_and_in_its_picture(self) -> None:
        for name, value in vars(errors).items():
            if isinstance(value, type) and issubclass(value, Exception):
                self.assertTrue(issubclass(value, PorterError), name)
                self.assertIn(f" {name}", " " + (errors.__doc__ or ""), "missing in the picture")

    def test_statuses_are_those_of_sysexits(self) -> None:
        self.assertEqual([0, 1, 64, 69, 76, 77, 78, 130], [int(status) for status in ExitStatus])
        self.assertEqual(ExitStatus.PROTOCOL, errors.TrustError.status)
        self.assertEqual(ExitStatus.UNAVAILABLE, errors.StoreUnavailable.status)

    def test_a_configuration_error_tells_all_problems_with_their_places(self) -> None:
        error = ConfigurationError([Problem("a.yaml", 3, 5, "port", "wrong"), Problem("a.yaml", 0, 0, "", "gone")])
        self.assertEqual("a.yaml:3:5: port: wrong\na.yaml: gone", str(error))
