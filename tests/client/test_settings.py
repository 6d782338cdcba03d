"""The client's configuration file."""

from dataclasses import asdict

import yaml

from client.settings import DEFAULT_FILE, LOGGING_FILE, Settings, load
from common.errors import ConfigurationError
from tests.support import PorterTestCase


class ClientSettings(PorterTestCase):
    def test_the_file_shows_the_built_in_defaults(self) -> None:
        self.assertEqual(asdict(Settings()), yaml.safe_load(DEFAULT_FILE.read_text()))
        self.assertEqual(Settings(), load(DEFAULT_FILE))
        self.assertTrue(LOGGING_FILE.is_file())

    def test_a_missing_file_means_the_defaults(self) -> None:
        self.assertEqual(Settings(), load(self.folder / "none.yaml"))

    def test_a_file_may_contain_only_some_of_the_keys(self) -> None:
        self.assertEqual(Settings(port=1234), load(self.write("c.yaml", "port: 1234\n")))

    def test_a_text_that_cannot_be_a_host_is_reported_where_it_stands(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "c.yaml:1:1: host: must be an address or the name of a host"):
            load(self.write("c.yaml", "host: 'a b'\n"))

    def test_all_errors_of_a_file_are_reported_at_once(self) -> None:
        text = "host: ''\nport: 0\nport: 1\ntls: on\nmax_message: 0\nhots: x\n"
        with self.assertRaises(ConfigurationError) as caught:
            load(self.write("c.yaml", text))
        found = sorted(str(problem).partition("c.yaml:")[2] for problem in caught.exception.problems)
        wanted = [
            "1:1: host: must not be empty, got ''",
            "2:1: port: must be from 1 to 65535, got 0",
            "3:1: port: given twice, first in line 2",
            "4:1: tls: must be true or false, got 'on'",
            "5:1: max_message: must be from 1 to 67108864, got 0",
            "6:1: hots: unknown key; the keys are host, port, tls, max_message, ca, status, plain",
        ]
        self.assertEqual(wanted, found)
