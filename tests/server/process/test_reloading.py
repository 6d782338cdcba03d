"""Reading the configuration again never raises, whatever is wrong; from outside, test_lifecycle.py shows it."""

from unittest import mock

from common.errors import Unavailable
from server.configuration.loading import Overrides
from server.process.reloading import reload
from tests.support import PorterTestCase


class Reloading(PorterTestCase):
    def reload(self, error: Exception | None = None, overrides: Overrides | None = None) -> list[str]:
        service = mock.Mock()
        load = mock.Mock(side_effect=error) if error else mock.Mock(return_value="configuration")
        with self.assertLogs("porter.server", "DEBUG") as logged:
            reload(service, load, overrides or Overrides())
        if error is None:
            service.reload.assert_called_once_with("configuration")
        return [f"{record.levelname} {record.getMessage()}" for record in logged.records]

    def test_what_cannot_be_had_and_what_fails_are_explained(self) -> None:
        self.assertEqual(["ERROR not reloaded: no such port"], self.reload(Unavailable("no such port")))
        self.assertEqual(["ERROR not reloaded"], self.reload(ZeroDivisionError()))

    def test_a_mode_that_was_given_at_the_start_stays(self) -> None:
        told = self.reload(overrides=Overrides("echo", None, None, False))
        self.assertEqual(["INFO the mode stays echo: it was given at the start"], told)
