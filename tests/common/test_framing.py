"""The framing: bytes in, bodies out, however the bytes are cut."""

import struct
import unittest

from hypothesis import given
from hypothesis import strategies as st

from common.errors import MessageTooLong, NotText, UnexpectedTLS
from common.framing import Decoder, decode, encode


def bodies(decoder: Decoder) -> list[bytes]:
    found = []
    while (body := decoder.next_body()) is not None:
        found.append(body)
    return found


class Encoding(unittest.TestCase):
    def test_a_frame_is_the_length_in_four_bytes_and_the_body(self) -> None:
        self.assertEqual(b"\x00\x00\x00\x06h\xc3\xa9llo", encode("héllo"))

    def test_an_empty_message_is_only_a_header(self) -> None:
        self.assertEqual(b"\0\0\0\0", encode(""))

    def test_a_lone_surrogate_cannot_be_sent(self) -> None:
        with self.assertRaises(NotText):
            encode("\ud800")

    def test_a_body_that_is_not_utf8_is_refused_with_its_place(self) -> None:
        with self.assertRaisesRegex(NotText, "at byte 2"):
            decode(b"ab\xff")


class Decoding(unittest.TestCase):
    @given(st.lists(st.text(max_size=50), max_size=8), st.integers(1, 9))
    def test_messages_come_out_as_they_went_in_however_they_are_cut(self, texts: list[str], size: int) -> None:
        stream = b"".join(map(encode, texts))
        decoder = Decoder(1000)
        found = []
        for start in range(0, len(stream), size):
            decoder.feed(stream[start : start + size])
            found += bodies(decoder)
        self.assertEqual(texts, [decode(body) for body in found])
        self.assertFalse(decoder.mid_message)

    @given(st.binary(max_size=200))
    def test_any_bytes_give_bodies_or_one_known_error(self, data: bytes) -> None:
        decoder = Decoder(100)
        decoder.feed(data)
        try:
            found = bodies(decoder)
        except (MessageTooLong, UnexpectedTLS):
            return
        self.assertLessEqual(sum(4 + len(body) for body in found), len(data))

    def test_too_long_a_message_is_refused_at_its_header(self) -> None:
        decoder = Decoder(10)
        decoder.feed(b"\0\0\0\x0b")
        self.assertTrue(decoder.has_body())
        with self.assertRaisesRegex(MessageTooLong, "11 bytes is over the limit of 10"):
            decoder.next_body()

    def test_a_message_of_just_the_limit_passes(self) -> None:
        decoder = Decoder(10)
        decoder.feed(encode("x" * 10))
        self.assertEqual(b"x" * 10, decoder.next_body())

    def test_the_length_is_unsigned(self) -> None:
        decoder = Decoder(10)
        decoder.feed(struct.pack("!i", -1))
        with self.assertRaisesRegex(MessageTooLong, "4294967295"):
            decoder.next_body()

    def test_the_start_of_tls_is_told_from_a_length(self) -> None:
        for record in (b"\x16\x03\x01\x02", b"\x15\x03\x03\x00"):
            decoder = Decoder(67_108_864)
            decoder.feed(record)
            with self.assertRaises(UnexpectedTLS):
                decoder.next_body()

    def test_it_knows_whether_a_whole_message_waits(self) -> None:
        decoder = Decoder(100)
        frame = encode("hello")
        for byte in frame[:-1]:
            decoder.feed(bytes([byte]))
            self.assertFalse(decoder.has_body())
            self.assertTrue(decoder.mid_message)
            self.assertIsNone(decoder.next_body())
        decoder.feed(frame[-1:])
        self.assertTrue(decoder.has_body())

    def test_an_announced_length_reserves_nothing(self) -> None:
        decoder = Decoder(67_108_864)
        decoder.feed(struct.pack("!I", 67_108_864))
        self.assertLess(decoder._buffer.__sizeof__(), 1000)
