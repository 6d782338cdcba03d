"""The filter for text: characters that could move a cursor or forge a line become visible."""

import sys
import tracemalloc
import unicodedata
import unittest

from hypothesis import given
from hypothesis import strategies as st

from common.visible import visible

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = {"\u200c", "\u200d"}


class Visible(unittest.TestCase):
    def test_ordinary_text_is_left_alone(self) -> None:
        for text in (
            "",
            "hello",
            "Привет, мир",
            "日本語",
            "naïve café",
            "a\u00a0b",
            "👍",
            "👨\u200d👩\u200d👧",
            "می\u200cخواهم",
        ):
            self.assertEqual(text, visible(text))

    def test_control_and_direction_characters_are_shown(self) -> None:
        for text, shown in (
            ("\x1b[2J", "\\x1b[2J"),
            ("a\r\nb", "a\\r\\nb"),
            ("\x9b31m", "\\x9b31m"),
            ("a\u202eb", "a\\u202eb"),
            ("\u2028", "\\u2028"),
            ("\x00\x7f", "\\x00\\x7f"),
            ("\u200b", "\\u200b"),
            ("\ud800", "\\ud800"),
            ("\U000e0041", "\\U000e0041"),
        ):
            self.assertEqual(shown, visible(text))

    def test_characters_that_must_be_kept_are_kept(self) -> None:
        self.assertEqual("a\n\tb\\r", visible("a\n\tb\r", keep="\n\t"))

    @given(st.text())
    def test_nothing_unsafe_is_ever_left(self, text: str) -> None:
        left = {character for character in visible(text) if unicodedata.category(character) in UNSAFE}
        self.assertLessEqual(left, JOINERS)

    def test_every_unsafe_character_that_this_python_knows_is_shown(self) -> None:
        wrong = [
            hex(code)
            for code in range(sys.maxunicode + 1)
            if (unicodedata.category(chr(code)) in UNSAFE - {"Cf"}) and visible(chr(code)) == chr(code)
        ]
        formats = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"}
        wrong += [hex(ord(character)) for character in formats - JOINERS if visible(character) == character]
        self.assertEqual([], wrong)

    def test_millions_of_characters_take_less_than_100_megabytes(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertEqual(3_000_000 * 5, len(visible("a\x1b" * 3_000_000)))
        self.assertLess(tracemalloc.get_traced_memory()[1], 100_000_000)
