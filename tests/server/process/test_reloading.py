"""A reload never raises, whatever is wrong. test_lifecycle.py tests it from outside."""

from unittest import mock

from common.errors import Unavailable
from server.configuration.loading import Configuration, Overrides, Source
from server.process.reloading import Reloader
from tests.support import PorterTestCase


class Reloading(PorterTestCase):
    def reload(self, source: Source, running: Configuration, apply: mock.Mock) -> list[str]:
        """Reload and return the lines of the log."""
        reloader = Reloader(source, running, apply)
        with self.assertLogs("porter.server", "DEBUG") as logged:
            reloader.reload()
        self.assertEqual(apply.call_count == 1 and apply.side_effect is None, reloader.running is not running)
        return [f"{record.levelname} {record.getMessage()}" for record in logged.records]

    def test_a_reload_that_cannot_be_applied_is_explained(self) -> None:
        running = self.configuration()
        source = Source(self.folder / "server.yaml")
        for error, wanted in (
            (Unavailable("no such port"), "ERROR not reloaded: no such port"),
            (ZeroDivisionError(), "ERROR not reloaded"),
        ):
            self.assertEqual([wanted], self.reload(source, running, mock.Mock(side_effect=error)))

    def test_each_problem_of_a_wrong_file_is_logged_and_nothing_is_applied(self) -> None:
        running = self.configuration()
        source = Source(self.write_configuration(port=-1, mode="nosuch"))
        apply = mock.Mock()
        self.assertEqual(2, len(self.reload(source, running, apply)))
        apply.assert_not_called()

    def test_a_mode_given_at_the_start_stays(self) -> None:
        running = self.configuration()
        source = Source(self.folder / "server.yaml", Overrides("echo"))
        said = self.reload(source, running, mock.Mock())
        self.assertEqual(["INFO the mode stays echo: it was given at the start"], said)

    def test_a_change_that_needs_a_restart_is_logged_and_not_applied(self) -> None:
        running = self.configuration()
        source = Source(self.write_configuration(port=1234, store="sqlite:////tmp/other.db"))
        apply = mock.Mock()
        said = self.reload(source, running, apply)
        self.assertIn("WARNING port has changed: restart the server to apply it", said)
        self.assertIn("WARNING store has changed: restart the server to apply it", said)
        self.assertEqual(running.settings.port, apply.call_args.args[0].settings.port)

    def test_a_reload_cannot_expose_passwords_by_naming_another_host(self) -> None:
        running = self.configuration(mode="auth", host="0.0.0.0", tls={"enabled": True})
        source = Source(self.write_configuration(mode="auth", host="127.0.0.1", tls={"enabled": False}))
        (said,) = self.reload(source, running, mock.Mock())
        self.assertRegex(said, r"^ERROR not reloaded: passwords .* unencrypted on 0\.0\.0\.0")
