"""The inbox: bytes in pieces of any size become the same messages, and a frame is judged when it is the next one."""

import struct
import tracemalloc
import unittest

from hypothesis import given
from hypothesis import strategies as some

from common.errors import MessageTooLong, NotText
from common.wire.framing import encode
from common.wire.inbox import Inbox


def taken(inbox: Inbox, limit: int = 1000) -> list[str]:
    texts = []
    while (text := inbox.take(limit)) is not None:
        texts.append(text)
    return texts


class Inboxes(unittest.TestCase):
    @given(some.lists(some.text(max_size=40), max_size=100), some.lists(some.integers(1, 90), min_size=1))
    def test_pieces_of_any_size_give_the_same_messages(self, texts: list[str], sizes: list[int]) -> None:
        wire = b"".join(map(encode, texts))
        inbox = Inbox()
        found: list[str] = []
        start = 0
        while start < len(wire):
            for size in sizes:
                if piece := wire[start : start + size]:
                    inbox.put(piece, 1000)
                start += size
                found += taken(inbox)
        self.assertEqual(texts, found)
        self.assertEqual((len(texts), len(wire)), (inbox.messages, inbox.bytes))
        self.assertFalse(inbox.has_begun)

    def test_only_a_few_of_thousands_of_messages_are_texts_at_a_time(self) -> None:
        inbox = Inbox()
        wire = encode("x") * 4000
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        inbox.put(wire, 10)
        self.assertLess(tracemalloc.get_traced_memory()[1], 3 * len(wire))
        self.assertEqual(["x"] * 4000, taken(inbox))

    def test_a_frame_is_judged_by_the_limit_of_the_moment_when_it_is_the_next(self) -> None:
        inbox = Inbox()
        inbox.put(encode("hi") + encode("x" * 500), 100)
        self.assertEqual("hi", inbox.take(100))
        self.assertRaises(MessageTooLong, inbox.take, 100)
        self.assertEqual("x" * 500, inbox.take(500))

    def test_an_announced_length_over_the_limit_is_refused_before_its_body_comes(self) -> None:
        inbox = Inbox()
        inbox.put(struct.pack("!I", 101), 100)
        self.assertRaises(MessageTooLong, inbox.take, 100)

    def test_messages_before_a_breach_come_first(self) -> None:
        inbox = Inbox()
        inbox.put(encode("a") + encode("b") + b"\0\0\0\1\xff", 100)
        self.assertEqual(["a", "b"], [inbox.take(100), inbox.take(100)])
        self.assertRaises(NotText, inbox.take, 100)

    def test_it_tells_what_is_missing(self) -> None:
        inbox = Inbox()
        self.assertEqual((0, False, False), (inbox.missing, inbox.has_begun, inbox.has_message))
        inbox.put(b"\0\0", 100)
        self.assertEqual((2, True, False), (inbox.missing, inbox.has_begun, inbox.has_message))
        inbox.put(b"\0\5he", 100)
        self.assertEqual(3, inbox.missing)
        inbox.put(b"llo", 100)
        self.assertTrue(inbox.has_message)
        self.assertEqual("hello", inbox.take(100))
