"""Reading the configuration: every problem is reported at once, with its position."""

import os
import subprocess
import sys
from typing import Any
from unittest import mock

from common.errors import ConfigurationError, UsageError
from server.configuration.loading import Configuration, Overrides, Source, file_path, with_environment
from server.handlers.auth import AuthHandler
from server.handlers.handler import Handler
from tests.support import PorterTestCase, environment

ALL_WRONG = """\
mode: nosuch
port: 70000
port: 80
tsl: {}
workers: 0
limits: {max_message: big, foo: 1, idle_timeout: -1}
handlers:
  auth: {options: {registration: ajar, passwords: {min_length: 0}}}
  mine: {class: "nowhere:Nothing"}
  other: {class: nocolon}
  odd: {class: "os:path"}
"""


class NoOptions(Handler):
    Options = None  # type: ignore[assignment]


class Silent(Handler):
    """A class that does nothing."""


class Configurations(PorterTestCase):
    def load(self, text: str, **overrides: Any) -> Configuration:
        return Source(self.write("file.yaml", text), Overrides(**overrides)).load()

    def problems(self, text: str, **overrides: Any) -> list[str]:
        with self.assertRaises(ConfigurationError) as caught:
            self.load(text, **overrides)
        return [f"{p.line}:{p.column}: {p.key}: {p.text}" for p in caught.exception.problems]

    def test_an_empty_file_means_the_defaults(self) -> None:
        configuration = self.load("")
        self.assertEqual(("auth", 9090), (configuration.settings.mode, configuration.settings.port))
        self.assertIs(AuthHandler, configuration.choices["auth"].handler_class)
        self.assertEqual("certificate.pem", configuration.certificate.name)
        self.assertTrue(configuration.key.is_absolute())

    def test_all_problems_are_reported_at_once_with_their_positions(self) -> None:
        wanted = [
            ("1:1: mode:", "'nosuch' is not one of the handlers: echo, identify, auth"),
            ("2:1: port:", "less than or equal to 65535, got 70000"),
            ("3:1: port:", "given twice, first in line 2"),
            ("4:1: tsl:", "unknown key"),
            ("5:1: workers:", "greater than or equal to 1"),
            ("6:10: limits.max_message:", "valid integer, got 'big'"),
            ("6:28: limits.foo:", "unknown key"),
            ("6:36: limits.idle_timeout:", "greater than 0, got -1"),
            ("8:20: handlers.auth.options.registration:", "'open' or 'closed', got 'ajar'"),
            ("8:52: handlers.auth.options.passwords.min_length:", "greater than or equal to 1"),
            ("9:10: handlers.mine.class:", "cannot be imported: ModuleNotFoundError"),
            ("10:11: handlers.other.class:", "must be MODULE:CLASS"),
            ("11:9: handlers.odd.class:", "must be a subclass of server.handler.Handler"),
        ]
        found = self.problems(ALL_WRONG)
        self.assertEqual(len(wanted), len(found), found)
        for (start, part), problem in zip(wanted, found, strict=True):
            self.assertTrue(problem.startswith(start), problem)
            self.assertIn(part, problem)

    def test_a_given_option_leaves_the_other_defaults(self) -> None:
        options = self.load("handlers: {auth: {options: {sessions: {per_user: 2}}}}").choices["auth"].options
        assert isinstance(options, AuthHandler.Options)
        self.assertEqual((2, 86400, "open"), (options.sessions.per_user, options.sessions.idle, options.registration))

    def test_overrides_beat_the_file(self) -> None:
        settings = self.load("mode: auth\nport: 1\n", mode="echo", host="::1", port=2, no_tls=True).settings
        found = (settings.mode, settings.host, settings.port, settings.tls.enabled)
        self.assertEqual(("echo", "::1", 2, False), found)

    def first_problem(self, text: str, **overrides: Any) -> str:
        with self.assertRaises(ConfigurationError) as caught:
            self.load(text, **overrides)
        return str(caught.exception)

    def test_a_class_that_is_no_mode_is_told_what_it_lacks(self) -> None:
        for name, wanted in (
            ("word_count.WordCount", "must be MODULE:CLASS, as in server.handlers.echo:EchoHandler"),
            (f"{__name__}:Silent", "Silent has neither converse nor answer"),
        ):
            text = self.first_problem(f"mode: mine\nhandlers: {{mine: {{class: '{name}'}}}}\n")
            self.assertIn(wanted, text)
            self.assertEqual(1, len(text.splitlines()), text)

    def test_a_module_that_ends_the_program_is_a_problem_of_its_class(self) -> None:
        self.addCleanup(setattr, sys, "path", sys.path[:])
        self.write("ends_the_program.py", "import sys\nsys.exit('no such device')\n")
        file = self.write("file.yaml", "handlers: {mine: {class: 'ends_the_program:Mine'}}\n")
        with self.assertRaisesRegex(ConfigurationError, "cannot be imported: SystemExit: no such device"):
            Source(file).load()

    def test_a_path_or_a_host_that_cannot_exist_is_reported(self) -> None:
        for text, wanted in (
            ('logging: "a\\0b"', "logging: must not hold a NUL character"),
            ('tls: {key: "a\\0b"}', "tls.key: must not hold a NUL character"),
            ('host: "a b"', "host: must be an address or the name of a host"),
        ):
            self.assertIn(wanted, self.first_problem(text))

    def test_a_variable_that_names_no_file_is_told(self) -> None:
        with (
            mock.patch.dict(os.environ, {"PORTER_CONFIG": "nowhere.yaml"}),
            self.assertRaisesRegex(ConfigurationError, "^PORTER_CONFIG=nowhere.yaml: there is no such file"),
        ):
            file_path(None)

    def test_a_mode_may_not_be_named_like_a_command(self) -> None:
        entry = "{class: 'server.handlers.echo:EchoHandler'}"
        for name in ("users", "help", "top"):
            text = self.first_problem(f"handlers: {{{name}: {entry}}}\n")
            self.assertIn(f"{name} is a command of run.sh: choose another name for the mode", text)

    def test_a_handler_may_lie_beside_the_file_or_in_the_caller_s_pythonpath(self) -> None:
        self.addCleanup(setattr, sys, "path", sys.path[:])
        code = "from server.handlers.echo import EchoHandler\nclass Mine(EchoHandler): pass\n"
        for place, module in (("beside", "beside_the_file"), ("elsewhere", "in_the_path")):
            self.write(f"{place}/{module}.py", code)
            file = self.write("beside/file.yaml", f"mode: mine\nhandlers: {{mine: {{class: '{module}:Mine'}}}}\n")
            with mock.patch.dict(os.environ, {"PORTER_PYTHONPATH": f"/nowhere:{self.folder}/elsewhere"}):
                self.assertEqual("Mine", Source(file).load().chosen.handler_class.__name__)

    def test_a_folder_of_the_caller_s_replaces_no_library(self) -> None:
        self.addCleanup(setattr, sys, "path", sys.path[:])
        self.write("yaml/__init__.py", "raise SystemExit('the wrong one')\n")
        code = "import sys; from pathlib import Path; from server.configuration.loading import Source\n"
        code += f"Source(Path({str(self.write('file.yaml', ''))!r})).load(); print(sys.path[-1])\n"
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env=environment(self.folder, PORTER_PYTHONPATH=str(self.folder)),
            capture_output=True,
            text=True,
        )
        self.assertEqual((str(self.folder), ""), (done.stdout.strip(), done.stderr))

    def test_a_port_of_a_cluster_is_ignored(self) -> None:
        with mock.patch.dict(os.environ, {"PORTER_PORT": "tcp://10.0.0.7:9090"}):
            self.assertEqual(Overrides(), with_environment(Overrides()))

    def test_a_problem_names_the_option_or_the_variable_that_gave_the_value(self) -> None:
        text = self.first_problem("mode: auth\n", host="0.0.0.0", no_tls=True)
        self.assertRegex(text, r"^--no-tls: passwords would cross the network unencrypted on 0\.0\.0\.0")
        self.assertRegex(
            self.first_problem("tls: {enabled: false}\n", host="0.0.0.0"), r"file.yaml:\d:\d+: tls.enabled: "
        )
        self.assertRegex(self.first_problem("port: 1\n", host="x" * 300), r"^--host: ")
        variables = frozenset([("host",)])
        self.assertRegex(self.first_problem("port: 1\n", host="x" * 300, variables=variables), r"^PORTER_HOST: ")

    def test_the_environment_completes_the_command_line_and_a_wrong_port_names_its_variable(self) -> None:
        variables = {"PORTER_MODE": "echo", "PORTER_HOST": "::1", "PORTER_PORT": "1"}
        with mock.patch.dict(os.environ, variables):
            wanted = Overrides("auth", "::1", 1, variables=frozenset([("host",), ("port",)]))
            self.assertEqual(wanted, with_environment(Overrides("auth")))
        with (
            mock.patch.dict(os.environ, {"PORTER_PORT": "hi"}),
            self.assertRaisesRegex(UsageError, "^PORTER_PORT: a port is a number from 0 to 65535, not 'hi'"),
        ):
            with_environment(Overrides())

    def test_an_unknown_mode_on_the_command_line_is_wrong_usage(self) -> None:
        with self.assertRaisesRegex(UsageError, "no mode 'nosuch': .* has echo, identify, auth"):
            self.load("", mode="nosuch")

    def test_a_value_of_another_shape_is_reported(self) -> None:
        for text, problem in (
            ("handlers: 5", "handlers: Input should be a valid dictionary, got 5"),
            ("handlers: {auth: 5}", "handlers.auth: Input should be a valid dictionary"),
            ("handlers: {mine: {}}", "handlers.mine.class: missing"),
            ("tls: yes", "tls: Input should be a valid dictionary"),
            ("workers: many", "workers: Input should be 'auto', got 'many', or input should be a valid integer"),
            ("cpu_affinity: 3", "cpu_affinity: Input should be 'auto' or 'off', got 3"),
            ("logging: nowhere.yaml", "No such file"),
            ("store: 'postgresql+psycopg://u:pw@h:abc/x'", "store: not a database URL"),
            ("store: 'sqlite:////tmp/x.db?timeout=abc'", "store: the URL of an SQLite file has no options"),
            (f"handlers: {{mine: {{class: '{__name__}:NoOptions'}}}}", "its Options must be"),
            ("store: nonsense", "store: must be sqlite:///FILE or postgresql"),
            ("store: mysql://x/y", "store: must be sqlite:///FILE or postgresql"),
            ("store: 'sqlite://'", "store: must be sqlite:///FILE or postgresql"),
            ("store: 'sqlite:///'", "store: SQLite needs a file"),
            ("mode: echo\nstore: 'sqlite:///:memory:'", "store: SQLite needs a file"),
            ("handlers: {auth: {options: {passwords: {argon2: {memory_kib: 8, parallelism: 2}}}}}", "at least 16"),
            ("handlers: {auth: {options: {passwords: {argon2: {time_cost: 999}}}}}", "must be at most 4194304"),
            ("mode: [auth]", "mode: Input should be a valid string"),
            ("5: 6", "5: Keys should be strings"),
        ):
            with self.subTest(text):
                self.assertIn(problem, self.problems(text)[0])

    def test_the_password_in_a_store_url_is_not_shown(self) -> None:
        for url in ("mysql://u:secret@h/x", "postgresql+psycopg://u:secret@h:abc/x"):
            self.assertNotIn("secret", "".join(self.problems(f"store: '{url}'")))

    def test_a_certificate_without_its_key_is_an_error(self) -> None:
        self.write("c.pem", "")
        text = f"tls: {{certificate: {self.folder}/c.pem, key: {self.folder}/k.pem}}"
        self.assertIn("k.pem is missing: there must be both files of the pair, or neither", self.problems(text)[0])

    def test_passwords_cross_a_network_unencrypted_only_if_this_is_allowed(self) -> None:
        for host in ("0.0.0.0", "::", "10.1.2.3", "example.org"):
            found = self.problems(f"mode: auth\nhost: '{host}'\ntls: {{enabled: false}}\n")
            self.assertIn("unencrypted", found[0])
        self.load("mode: auth\nhost: 0.0.0.0\ntls: {enabled: false, allow_plain_login: true}\n")
        self.load("mode: echo\nhost: 0.0.0.0\ntls: {enabled: false}\n")
        for host in ("127.0.0.1", "::1", "localhost"):
            self.load(f"mode: auth\nhost: '{host}'\ntls: {{enabled: false}}\n")

    def test_reading_creates_no_files(self) -> None:
        before = sorted(self.folder.rglob("*"))
        path = self.write_configuration()
        Source(path).load()
        self.assertEqual({"server.yaml", "logging.yaml"}, {p.name for p in set(self.folder.rglob("*")) - set(before)})
