"""./run.sh demo: each mode with its bytes, on a projector of 80 columns, and nothing is touched that exists."""

import signal
import sys
import time

import pexpect

from common import PROJECT_ROOT
from tests.support import PATIENCE, PorterTestCase, environment, run_program, scaled


class Demo(PorterTestCase):
    def test_each_mode_is_shown_with_its_bytes_in_lines_that_fit(self) -> None:
        before = sorted(PROJECT_ROOT.glob("data/**/*"))
        done = run_program(self.folder, "examples.demo", "--auto")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        for line in (
            "client -> server  00 00 00 0c  привет",
            "client <- server  00 00 00 12  TEXT Hello, Alice!",
            "client <- server  00 00 00 09  GET-TOKEN",
            "client <- server  00 00 00 1b  TEXT Bob: is anybody there?",
            "on the wire       17 03 03",
        ):
            self.assertIn(line, done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
        self.assertNotIn("\x1b", done.stdout)
        self.assertEqual(before, sorted(PROJECT_ROOT.glob("data/**/*")))

    def test_it_speaks_russian_to_russians(self) -> None:
        done = run_program(self.folder, "examples.demo", "--auto", LC_ALL="ru_RU.UTF-8")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        for line in (
            "Сообщение — это его длина в четырёх байтах и текст. Оно возвращается.",
            "TEXT Здравствуйте, Alice!",
            "в сети            17 03 03",
            "TLSv1.3: 39 байт, из них открыты первые пять.",
        ):
            self.assertIn(line, done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)

    def test_on_a_terminal_it_goes_on_after_enter_in_colour_and_ends_with_ctrl_c(self) -> None:
        dumb = {"TERM": "dumb"}
        choices: list[tuple[dict[str, str], bool]] = [({}, True), ({"NO_COLOR": "1"}, False), (dumb, False)]
        for chosen, escapes in choices:
            child = pexpect.spawn(
                sys.executable,
                ["-P", "-m", "examples.demo", "echo"],
                env={**environment(self.folder), "TERM": "xterm", **chosen},
                dimensions=(24, 80),
                timeout=PATIENCE,
            )
            self.addCleanup(child.close, force=True)
            child.expect("hello.*hello.*Enter")
            shown = child.before + child.after
            self.assertEqual(escapes, b"\x1b[" in shown, chosen)
            child.send("\r")
            child.expect("00 00 00 0c.*00 00 00 0c.*Enter")
            asked = time.monotonic()
            child.sendintr()
            child.expect(pexpect.EOF)
            child.wait()
            self.assertLess(time.monotonic() - asked, scaled(1.5), "the server does not wait for the demo's client")
            self.assertEqual(130, child.exitstatus)

    def test_a_demo_that_is_terminated_leaves_nothing_behind(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            child = pexpect.spawn(
                sys.executable,
                ["-P", "-m", "examples.demo", "echo"],
                env={**environment(self.folder), "TMPDIR": str(self.folder)},
                timeout=PATIENCE,
            )
            self.addCleanup(child.close, force=True)
            child.expect("Enter")
            self.assertNotEqual([], list(self.folder.glob("tmp*")))
            child.kill(number)
            child.expect(pexpect.EOF)
            child.wait()
            self.assertEqual(128 + number, child.exitstatus)
            self.assertEqual([], list(self.folder.glob("tmp*")))

    def test_a_part_that_is_none_is_wrong_usage(self) -> None:
        done = run_program(self.folder, "examples.demo", "juggling")
        self.assertEqual(64, done.returncode)
        self.assertIn("there is no part 'juggling': echo, identify, auth, chat, tls", done.stderr)
