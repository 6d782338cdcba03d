"""Two sockets; the test cuts messages, joins them, and breaks them off."""

import socket
import threading
import unittest

from exercises import tried


class Framing(unittest.TestCase):
    def setUp(self) -> None:
        self.framing = tried("framing")
        self.ours, self.theirs = socket.socketpair()
        for each in (self.ours, self.theirs):
            each.settimeout(5)
            self.addCleanup(each.close)

    def test_a_message_is_its_length_in_bytes_and_its_text(self) -> None:
        for text, wire in (("hello", b"\0\0\0\5hello"), ("", b"\0\0\0\0"), ("да", b"\0\0\0\4\xd0\xb4\xd0\xb0")):
            self.framing.send(self.theirs, text)
            self.assertEqual(wire, self.ours.recv(100))

    def test_a_message_that_comes_byte_by_byte_is_one_message(self) -> None:
        wire = "привет, мир".encode()
        wire = len(wire).to_bytes(4, "big") + wire
        ready = threading.Semaphore(0)

        def drip() -> None:
            for byte in wire:
                ready.acquire(timeout=0.01)  # never given: so each byte travels alone
                self.theirs.sendall(bytes([byte]))

        sender = threading.Thread(target=drip)
        sender.start()
        try:
            self.assertEqual("привет, мир", self.framing.receive(self.ours))
        finally:
            sender.join()

    def test_messages_that_come_together_are_several(self) -> None:
        self.theirs.sendall(b"\0\0\0\3one\0\0\0\0\0\0\0\3two")
        self.assertEqual(["one", "", "two"], [self.framing.receive(self.ours) for _ in range(3)])

    def test_a_long_message_arrives_whole(self) -> None:
        text = "я" * 30_000
        sender = threading.Thread(target=self.framing.send, args=[self.theirs, text])
        sender.start()
        try:
            self.assertEqual(text, self.framing.receive(self.ours))
        finally:
            sender.join()

    def test_the_end_between_messages_is_none_and_in_a_message_an_error(self) -> None:
        for cut in (b"\0\0", b"\0\0\0\5", b"\0\0\0\5hel"):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                theirs.sendall(cut)
                theirs.shutdown(socket.SHUT_WR)
                with self.assertRaises(ConnectionError):
                    self.framing.receive(ours)
        self.theirs.shutdown(socket.SHUT_WR)
        self.assertIsNone(self.framing.receive(self.ours))

    def test_a_length_over_the_limit_is_refused_before_the_text_has_come(self) -> None:
        self.theirs.sendall(b"\xff\xff\xff\xff")
        with self.assertRaises(ValueError):
            self.framing.receive(self.ours)

    def test_what_is_no_utf_8_is_refused(self) -> None:
        self.theirs.sendall(b"\0\0\0\2\xff\xfe")
        with self.assertRaises(ValueError):
            self.framing.receive(self.ours)
