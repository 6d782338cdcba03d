"""The progress line: it appears only on a terminal and is erased at the end."""

import contextlib
import io
import unittest

from benchmarks.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Lines(unittest.TestCase):
    def shown(self, stream: io.StringIO) -> str:
        with contextlib.redirect_stderr(stream), Progress(1000.0, "64/1") as progress:
            progress.tell(1000)
            progress.tell(234)
        return stream.getvalue()

    def test_a_terminal_shows_the_progress_and_the_answers_of_all_processes(self) -> None:
        shown = self.shown(Terminal())
        self.assertRegex(shown, r"64/1 \[ {30}\]   0%  1,234 messages/s")
        self.assertTrue(shown.endswith("\r\033[K"))

    def test_other_streams_show_nothing(self) -> None:
        self.assertEqual("", self.shown(io.StringIO()))
