"""The kinds of message: a word, one space, and a text that is not changed."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from common.errors import UnexpectedKind
from common.wire.kinds import FROM_CLIENT, FROM_SERVER, Kind, compose, parse


class Kinds(unittest.TestCase):
    @given(st.sampled_from(sorted(FROM_SERVER, key=str)), st.text())
    def test_a_composed_message_can_be_parsed(self, kind: Kind, text: str) -> None:
        self.assertEqual((kind, text), parse(compose(kind, text), FROM_SERVER))

    @given(st.text() | st.builds("{} {}".format, st.sampled_from([kind.value for kind in Kind]), st.text()))
    def test_any_message_can_be_composed_again_or_is_a_breach(self, message: str) -> None:
        try:
            kind, text = parse(message, FROM_SERVER)
        except UnexpectedKind:
            return
        self.assertEqual(message.removesuffix(" ") if not text else message, compose(kind, text))

    def test_a_message_without_text_has_no_space(self) -> None:
        self.assertEqual("GET-TOKEN", compose(Kind.GET_TOKEN))

    def test_the_text_keeps_its_line_breaks_and_spaces(self) -> None:
        self.assertEqual((Kind.TEXT, "  a\nb "), parse("TEXT   a\nb ", FROM_CLIENT))

    def test_the_error_does_not_show_the_message_since_it_may_be_a_password(self) -> None:
        with self.assertRaises(UnexpectedKind) as caught:
            parse("hunter22", FROM_CLIENT)
        self.assertEqual("unknown kind: a message must begin with TEXT or TOKEN", str(caught.exception))

    def test_a_kind_that_the_sender_may_not_use_is_refused(self) -> None:
        for message in ("", "HELLO", "text x", "TEXTx", " TEXT", "TEXT\nx", "ASK x", "SET-TOKEN x"):
            with self.subTest(message), self.assertRaises(UnexpectedKind):
                parse(message, FROM_CLIENT)
