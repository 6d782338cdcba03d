"""The framing: bytes become texts, and breaches become errors."""

import struct
import unittest
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from common.errors import MessageTooLong, NotText, ProtocolError, UnexpectedTLS
from common.wire import framing
from common.wire.framing import encode, lacking, refuse_breach, sole_text, split


class Encoding(unittest.TestCase):
    def test_a_frame_is_the_length_in_four_bytes_and_the_body(self) -> None:
        self.assertEqual(b"\x00\x00\x00\x06h\xc3\xa9llo", encode("héllo"))

    def test_an_empty_message_is_only_a_header(self) -> None:
        self.assertEqual(b"\0\0\0\0", encode(""))

    def test_a_lone_surrogate_cannot_be_sent(self) -> None:
        with self.assertRaises(NotText):
            encode("\ud800")

    def test_a_text_whose_length_does_not_fit_the_header_cannot_be_sent(self) -> None:
        with (
            mock.patch.object(framing, "_pack", side_effect=struct.error),
            self.assertRaisesRegex(MessageTooLong, "3 bytes does not fit"),
        ):
            encode("abc")


class Splitting(unittest.TestCase):
    @given(st.lists(st.text(max_size=50), max_size=8), st.binary(max_size=3))
    def test_whole_frames_come_out_and_the_rest_stays(self, texts: list[str], rest: bytes) -> None:
        frames = b"".join(map(encode, texts))
        self.assertEqual((texts, len(frames)), split(frames + rest, 1000))

    @given(st.lists(st.text(max_size=50), max_size=8), st.integers(0, 8))
    def test_no_more_frames_are_split_than_are_wanted(self, texts: list[str], most: int) -> None:
        frames = list(map(encode, texts))
        self.assertEqual((texts[:most], len(b"".join(frames[:most]))), split(b"".join(frames), 1000, most))

    @given(st.binary(max_size=200), st.integers(0, 100))
    def test_any_bytes_are_frames_or_part_of_a_frame_or_a_breach(self, data: bytes, limit: int) -> None:
        texts, start = split(data, limit)
        self.assertEqual(data[:start], b"".join(map(encode, texts)))
        rest = data[start:]
        try:
            refuse_breach(rest, limit)
        except ProtocolError:
            return
        self.assertTrue(not rest or lacking(rest))

    @given(st.text(max_size=50))
    def test_only_a_single_whole_frame_has_a_sole_text(self, text: str) -> None:
        frame = encode(text)
        limit = len(frame) - 4
        self.assertEqual(text, sole_text(frame, limit))
        for other in (frame[:-1], frame + b"x", b"", frame[:3]):
            self.assertIsNone(sole_text(other, limit))
        if limit:
            self.assertIsNone(sole_text(frame, limit - 1))

    def test_invalid_utf8_has_no_sole_text(self) -> None:
        self.assertIsNone(sole_text(b"\0\0\0\1\xff", 10))

    def test_the_number_of_missing_bytes_of_a_frame_is_known(self) -> None:
        frame = encode("hello")
        self.assertEqual([4, 3, 2, 1, 5, 4, 3, 2, 1, 0, 0], [lacking((frame + b"x")[:end]) for end in range(11)])


class Breaches(unittest.TestCase):
    def test_invalid_utf8_is_refused_with_the_number_of_its_byte(self) -> None:
        with self.assertRaisesRegex(NotText, "at byte 2"):
            refuse_breach(b"\0\0\0\3ab\xff", 10)

    def test_a_message_that_is_too_long_is_refused_at_its_header(self) -> None:
        refuse_breach(b"\0\0\0", 10)
        refuse_breach(b"\0\0\0\x0a", 10)
        with self.assertRaisesRegex(MessageTooLong, "11 bytes is over the limit of 10"):
            refuse_breach(b"\0\0\0\x0b", 10)

    def test_the_length_is_unsigned(self) -> None:
        with self.assertRaisesRegex(MessageTooLong, "4294967295"):
            refuse_breach(struct.pack("!i", -1), 10)

    def test_the_start_of_tls_is_not_taken_for_a_length(self) -> None:
        for record in (b"\x16\x03\x01\x02", b"\x15\x03\x03\x00"):
            self.assertRaises(UnexpectedTLS, refuse_breach, record, 67_108_864)
