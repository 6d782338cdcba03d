"""The filter: what could move a cursor or forge a line is made visible."""

import unicodedata
import unittest

from hypothesis import given
from hypothesis import strategies as st

from common.visible import visible


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

    def test_what_is_to_be_kept_is_kept(self) -> None:
        self.assertEqual("a\n\tb\\r", visible("a\n\tb\r", keep="\n\t"))

    @given(st.text())
    def test_nothing_unsafe_is_ever_left(self, text: str) -> None:
        left = {
            character for character in visible(text) if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        }
        self.assertEqual(set(), left)
