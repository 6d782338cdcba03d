"""Reading the configuration: every problem at once, at its place."""

from typing import Any

from common.errors import ConfigurationError, UsageError
from server.configuration.loading import Configuration, Overrides, load
from server.handlers.auth import AuthHandler
from server.handlers.handler import Handler
from tests.support import PorterTestCase

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


class Configurations(PorterTestCase):
    def load(self, text: str, **overrides: Any) -> Configuration:
        return load(self.write("file.yaml", text), Overrides(**overrides))

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

    def test_everything_that_is_wrong_is_told_at_once_with_its_place(self) -> None:
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
            ("10:11: handlers.other.class:", "match pattern"),
            ("11:9: handlers.odd.class:", "must be a subclass of server.handler.Handler"),
        ]
        found = self.problems(ALL_WRONG)
        self.assertEqual(len(wanted), len(found), found)
        for (start, part), problem in zip(wanted, found, strict=True):
            self.assertTrue(problem.startswith(start), problem)
            self.assertIn(part, problem)

    def test_a_part_may_be_given_and_the_rest_stays(self) -> None:
        options = self.load("handlers: {auth: {options: {sessions: {per_user: 2}}}}").choices["auth"].options
        assert isinstance(options, AuthHandler.Options)
        self.assertEqual((2, 86400, "open"), (options.sessions.per_user, options.sessions.idle, options.registration))

    def test_overrides_come_before_the_file(self) -> None:
        settings = self.load("mode: auth\nport: 1\n", mode="echo", host="::1", port=2, no_tls=True).settings
        found = (settings.mode, settings.host, settings.port, settings.tls.enabled)
        self.assertEqual(("echo", "::1", 2, False), found)

    def test_an_unknown_mode_on_the_command_line_is_wrong_usage(self) -> None:
        with self.assertRaisesRegex(UsageError, "no mode 'nosuch': .* has echo, identify, auth"):
            self.load("", mode="nosuch")

    def test_what_has_another_shape_is_told(self) -> None:
        for text, problem in (
            ("handlers: 5", "handlers: Input should be a valid dictionary, got 5"),
            ("handlers: {auth: 5}", "handlers.auth: Input should be a valid dictionary"),
            ("handlers: {mine: {}}", "handlers.mine.class: missing"),
            ("tls: yes", "tls: Input should be a valid dictionary"),
            ("workers: many", "workers: Input should be 'auto', got 'many', or input should be a valid integer"),
            ("cpu_affinity: 3", "cpu_affinity: Input should be 'auto' or 'off', got 3"),
            ("logging: nowhere.yaml", "No such file"),
            ("store: 'postgresql+psycopg://u:pw@h:abc/x'", "store: not a database URL"),
            ("store: 'sqlite:////tmp/x.db?timeout=abc'", "store: not a database URL"),
            (f"handlers: {{mine: {{class: '{__name__}:NoOptions'}}}}", "its Options must be"),
            ("store: nonsense", "store: must be sqlite:///FILE or postgresql"),
            ("store: mysql://x/y", "store: must be sqlite:///FILE or postgresql"),
            ("store: 'sqlite://'", "store: must be sqlite:///FILE or postgresql"),
            ("store: 'sqlite:///'", "store: SQLite needs a file"),
            ("handlers: {auth: {options: {passwords: {argon2: {memory_kib: 8, parallelism: 2}}}}}", "at least 16"),
            ("handlers: {auth: {options: {passwords: {argon2: {time_cost: 999}}}}}", "must be at most 4194304"),
            ("mode: [auth]", "mode: Input should be a valid string"),
            ("5: 6", "5: Keys should be strings"),
        ):
            with self.subTest(text):
                self.assertIn(problem, self.problems(text)[0])

    def test_the_password_in_a_store_s_url_is_not_shown(self) -> None:
        for url in ("mysql://u:secret@h/x", "postgresql+psycopg://u:secret@h:abc/x"):
            self.assertNotIn("secret", "".join(self.problems(f"store: '{url}'")))

    def test_half_a_pair_of_certificate_and_key_is_an_error(self) -> None:
        self.write("c.pem", "")
        text = f"tls: {{certificate: {self.folder}/c.pem, key: {self.folder}/k.pem}}"
        self.assertIn("k.pem is missing, but the other half of the pair is there", self.problems(text)[0])

    def test_passwords_do_not_cross_a_network_in_clear_unless_it_is_said(self) -> None:
        for host in ("0.0.0.0", "::", "10.1.2.3", "example.org"):
            found = self.problems(f"mode: auth\nhost: '{host}'\ntls: {{enabled: false}}\n")
            self.assertIn("in clear", found[0])
        self.load("mode: auth\nhost: 0.0.0.0\ntls: {enabled: false, allow_plain_login: true}\n")
        self.load("mode: echo\nhost: 0.0.0.0\ntls: {enabled: false}\n")
        for host in ("127.0.0.1", "::1", "localhost"):
            self.load(f"mode: auth\nhost: '{host}'\ntls: {{enabled: false}}\n")

    def test_nothing_is_made_by_reading(self) -> None:
        before = sorted(self.folder.rglob("*"))
        path = self.write_configuration()
        load(path, Overrides())
        self.assertEqual({"server.yaml", "logging.yaml"}, {p.name for p in set(self.folder.rglob("*")) - set(before)})
