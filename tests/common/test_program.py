"""How the programs talk to their users: questions, errors, statuses."""

import contextlib
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from common.errors import ConfigurationError, Problem, Unavailable, UsageError
from common.program import ArgumentParser, ask, environment, has_terminal, port_number, run


def outcome(main: object) -> tuple[int, str]:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
        try:
            run(main)  # type: ignore[arg-type]
        except SystemExit as end:
            return int(end.code or 0), errors.getvalue()
    raise AssertionError("run() returned")


def raising(error: BaseException) -> object:
    def main() -> int:
        raise error

    return main


class Run(unittest.TestCase):
    def test_the_program_ends_with_the_status_of_main(self) -> None:
        self.assertEqual((7, ""), outcome(lambda: 7))

    def test_a_porter_error_is_one_line_and_sets_the_status(self) -> None:
        self.assertEqual((69, "porter: no port\n"), outcome(raising(Unavailable("no port"))))

    def test_each_problem_of_a_configuration_is_one_line_without_a_prefix(self) -> None:
        problems = [Problem("a.yaml", 1, 2, "x", "bad"), Problem("a.yaml", 2, 2, "y", "bad")]
        self.assertEqual(
            (78, "a.yaml:1:2: x: bad\na.yaml:2:2: y: bad\n"), outcome(raising(ConfigurationError(problems)))
        )

    def test_a_library_that_cannot_be_imported_is_a_damaged_venv_which_the_next_start_makes_anew(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            venv = Path(folder) / ".venv"
            venv.mkdir()
            for stamp in ("stamp", "stamp-dev", "made-by"):
                (venv / stamp).write_text("x")
            missing = ModuleNotFoundError("No module named 'yaml'", name="yaml")
            with mock.patch("common.program.PROJECT_ROOT", Path(folder)):
                status, said = outcome(raising(missing))  # by another Python, which leaves .venv alone
                self.assertEqual((69, True), (status, "start it by ./run.sh" in said))
                self.assertEqual(3, len(list(venv.iterdir())))
            with mock.patch("common.program.PROJECT_ROOT", Path(folder)), mock.patch("sys.prefix", str(venv)):
                wanted = f"porter: No module named 'yaml': {venv} is damaged; start again, and run.sh makes it anew\n"
                self.assertEqual((69, wanted), outcome(raising(missing)))
            self.assertEqual([], list(venv.iterdir()))

    def test_a_module_of_ours_that_cannot_be_imported_is_a_fault_of_ours(self) -> None:
        self.assertRaises(ImportError, outcome, raising(ImportError("cannot import", name="server.nothing")))

    def test_ctrl_c_ends_with_130_and_without_a_traceback(self) -> None:
        self.assertEqual((130, ""), outcome(raising(KeyboardInterrupt())))

    def test_a_reader_that_closes_the_pipe_causes_no_traceback(self) -> None:
        code = "from common.program import run\nrun(lambda: [print('x' * 1000) for _ in range(1000)] and 0)"
        head = subprocess.run(
            f'"{sys.executable}" -c "{code}" | head -c 1', shell=True, capture_output=True, text=True
        )
        self.assertEqual("", head.stderr)


class CommandLine(unittest.TestCase):
    def parse(self, *arguments: str) -> tuple[int, str]:
        parser = ArgumentParser("./run.sh", "Does things.", "The end.")
        parser.add_argument("--port")
        text = io.StringIO()
        with contextlib.redirect_stderr(text), contextlib.redirect_stdout(text):
            try:
                parser.parse_args(list(arguments))
            except SystemExit as end:
                return int(end.code or 0), text.getvalue()
        return -1, text.getvalue()

    def test_a_wrong_option_ends_with_64_and_points_to_the_help(self) -> None:
        status, text = self.parse("--prot", "1")
        self.assertEqual(64, status)
        self.assertIn("--prot", text)
        self.assertIn("--help", text)

    def test_options_are_not_abbreviated(self) -> None:
        self.assertEqual(64, self.parse("--po", "1")[0])

    def test_version_and_help_end_with_0(self) -> None:
        status, text = self.parse("--version")
        self.assertEqual(0, status)
        self.assertRegex(text, r"Porter \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+, OpenSSL ")
        self.assertEqual(0, self.parse("--help")[0])

    def test_an_empty_environment_variable_counts_as_unset(self) -> None:
        with mock.patch.dict("os.environ", {"PORTER_X": ""}):
            self.assertIsNone(environment("PORTER_X"))
        with mock.patch.dict("os.environ", {"PORTER_X": "y"}):
            self.assertEqual("y", environment("PORTER_X"))

    def test_ports_are_numbers_in_range(self) -> None:
        self.assertEqual(9090, port_number("9090"))
        self.assertEqual(0, port_number("0"))
        for wrong in ("", "x", "-1", "65536", "9" * 400, "1.5", "٣", " 1"):
            with self.subTest(wrong), self.assertRaises(UsageError):
                port_number(wrong)
        with self.assertRaisesRegex(UsageError, "from 1 to 65535"):
            port_number("0", lowest=1)


class Questions(unittest.TestCase):
    def ask(self, typed: str) -> tuple[int, str]:
        shown = io.StringIO()
        with mock.patch.object(sys, "stdin", io.StringIO(typed)), contextlib.redirect_stderr(shown):
            return ask("Port", 9090, port_number), shown.getvalue()

    def test_enter_takes_the_default(self) -> None:
        self.assertEqual((9090, "Port [9090]: "), self.ask("\n"))

    def test_an_answer_is_taken_without_its_spaces(self) -> None:
        self.assertEqual(1234, self.ask(" 1234 \n")[0])

    def test_a_wrong_answer_is_explained_and_asked_again(self) -> None:
        port, shown = self.ask("99999\nabc\n80\n")
        self.assertEqual(80, port)
        self.assertEqual(3, shown.count("Port [9090]: "))
        self.assertIn("'99999'", shown)
        self.assertIn("'abc'", shown)

    def test_ctrl_d_ends_with_0(self) -> None:
        with self.assertRaises(SystemExit) as end:
            self.ask("")
        self.assertEqual(0, end.exception.code)

    def test_ctrl_c_is_passed_on_and_ends_the_line(self) -> None:
        shown = io.StringIO()
        stdin = mock.Mock()
        stdin.readline.side_effect = [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), KeyboardInterrupt]
        with mock.patch.object(sys, "stdin", stdin), contextlib.redirect_stderr(shown):
            self.assertRaises(KeyboardInterrupt, ask, "Port", 9090, port_number)
        self.assertIn("not UTF-8", shown.getvalue())
        self.assertTrue(shown.getvalue().endswith("\n"))

    def test_a_pipe_is_not_a_terminal(self) -> None:
        with mock.patch.object(sys, "stdin", io.StringIO("")):
            self.assertFalse(has_terminal())
