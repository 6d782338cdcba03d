"""The message sockets: the same behaviour over plain sockets and over TLS."""

import socket
import struct
import threading
import tracemalloc
from typing import Any

from common.errors import (
    ConnectionLost,
    DeadlineExceeded,
    MessageStalled,
    MessageTooLong,
    NotText,
    UnexpectedTLS,
)
from common.wire.framing import encode
from common.wire.sockets import MessageSocket, Timeouts
from tests.common.wire.pair_case import Pair, PlainPair, SecurePair
from tests.support import PATIENCE, scaled, send_bytes


class Behaviour(Pair):
    """Tests for both kinds of socket."""

    def test_text_goes_there_and_back(self: Any) -> None:
        for text in ("hello", "", "Привет\n\x00", "x" * 60_000):
            self.ours.send_message(text)
            self.assertEqual(text, self.theirs.receive_message())
            self.theirs.send_message(text)
            self.assertEqual(text, self.ours.receive_message())

    def test_many_messages_in_a_row_are_received_one_by_one(self: Any) -> None:
        for number in range(100):
            self.theirs.send_message(str(number))
        self.assertEqual([str(number) for number in range(100)], [self.ours.receive_message() for _ in range(100)])

    def test_thousands_of_messages_can_be_taken_without_waiting(self: Any) -> None:
        self.write_raw(encode("ab") * 2000)
        received: list[str] = []
        while len(received) < 2000:
            received += self.ours.receive_waiting()
        self.assertEqual(["ab"] * 2000, received)

    def test_a_breach_after_hundreds_of_messages_is_raised_after_them(self: Any) -> None:
        self.write_raw(encode("ab") * 200 + b"\0\0\0\1\xff")
        for _ in range(200):
            self.assertEqual("ab", self.ours.receive_message())
        self.assertRaises(NotText, self.ours.receive_message)

    def test_the_end_between_two_messages_is_none(self: Any) -> None:
        self.theirs.send_message("last")
        self.theirs.finish(linger=0)
        self.assertEqual("last", self.ours.receive_message())
        self.assertIsNone(self.ours.receive_message())
        self.assertTrue(self.ours.has_ended)

    def test_the_end_inside_a_message_is_an_error(self: Any) -> None:
        self.write_raw(b"\0\0\0\x05he")
        self.theirs.finish(linger=0)
        with self.assertRaisesRegex(ConnectionLost, "inside a message"):
            self.ours.receive_message()

    def test_a_message_that_is_too_long_is_refused_before_it_arrives(self: Any) -> None:
        self.ours.max_message = 10
        self.assertEqual(10, self.ours.max_message)
        self.write_raw(b"\0\0\0\x0b")
        with self.assertRaises(MessageTooLong):
            self.ours.receive_message()

    def test_an_announced_length_reserves_no_memory(self: Any) -> None:
        self.ours.max_message = 67_108_864
        self.ours.timeouts = Timeouts(message=scaled(0.05))
        self.write_raw(struct.pack("!I", 67_108_864) + b"x")
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertRaises(MessageStalled, self.ours.receive_message)
        self.assertLess(tracemalloc.get_traced_memory()[1], 300_000)

    def test_invalid_utf8_is_refused(self: Any) -> None:
        self.write_raw(b"\0\0\0\x02\xc3\x28")
        with self.assertRaises(NotText):
            self.ours.receive_message()

    def test_a_socket_waits_for_a_silent_peer_until_the_idle_timeout(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=scaled(0.05))
        with self.assertRaisesRegex(DeadlineExceeded, f"no message came for {scaled(0.05):g} seconds"):
            self.ours.receive_message()

    def test_a_message_that_comes_byte_by_byte_stalls(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=PATIENCE, message=scaled(0.2))
        stop = threading.Event()

        def drip() -> None:
            for byte in encode("x" * 1000):
                send_bytes(self.theirs, bytes([byte]))
                if stop.wait(scaled(0.01)):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        with self.assertRaisesRegex(MessageStalled, f"not complete after {scaled(0.2):g} seconds"):
            self.ours.receive_message()
        stop.set()
        dripping.join()

    def test_each_message_has_the_whole_time(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=PATIENCE, message=PATIENCE)
        first, second = encode("first"), encode("second")
        self.write_raw(first[:5])
        sender = threading.Timer(scaled(0.02), self.write_raw, [first[5:] + second[:5]])
        sender.start()
        self.assertEqual("first", self.ours.receive_message())
        sender.join()
        self.write_raw(second[5:])
        self.assertEqual("second", self.ours.receive_message())

    def test_large_and_small_messages_take_turns(self: Any) -> None:
        self.ours.max_message = self.theirs.max_message = 10**6
        for size in (10, 70_000, 10, 2042, 2044, 2046, 65536, 65536, 200_000, 0):
            text = "\u044f" * (size // 2)
            self.start_sending(text)
            self.assertEqual(text, self.ours.receive_message())

    def start_sending(self: Any, text: str) -> None:
        sending = threading.Thread(target=self.theirs.send_message, args=[text])
        sending.start()
        self.addCleanup(sending.join, PATIENCE)

    def test_messages_that_have_arrived_can_be_taken_without_waiting(self: Any) -> None:
        self.assertEqual([], list(self.ours.receive_waiting()))
        self.write_raw(encode("a") + encode("b") + b"\0\0")
        self.assertEqual(["a", "b"], list(self.ours.receive_waiting()))
        self.assertFalse(self.ours.has_ended)
        self.write_raw(b"\0\0")
        self.assertEqual([""], list(self.ours.receive_waiting()))
        self.theirs.finish(linger=0)
        self.assertEqual([], list(self.ours.receive_waiting()))
        self.assertTrue(self.ours.has_ended)

    def test_a_breach_right_after_a_message_is_raised_at_the_next_receive(self: Any) -> None:
        self.write_raw(encode("good") + b"\x00\xff\xff\xff")
        self.assertEqual("good", self.ours.receive_message())
        self.assertRaises(MessageTooLong, self.ours.receive_message)

    def test_messages_that_came_before_a_breach_are_not_lost(self: Any) -> None:
        self.write_raw(encode("a") + encode("the reason") + b"\0\0\0\1\xff")
        waiting = self.ours.receive_waiting()
        self.assertEqual(["a", "the reason"], [next(waiting), next(waiting)])
        self.assertRaises(NotText, next, waiting)

    def test_the_last_message_arrives_although_input_was_left_unread(self: Any) -> None:
        for _ in range(10):
            self.theirs.send_message("never read")
        self.ours.send_message("goodbye")
        finishing = threading.Thread(target=self.ours.finish, args=[PATIENCE])
        finishing.start()
        self.assertEqual("goodbye", self.theirs.receive_message())
        self.assertIsNone(self.theirs.receive_message())
        self.theirs.close()
        finishing.join(PATIENCE)

    def test_a_peer_that_does_not_read_is_given_up(self: Any) -> None:
        self.ours.timeouts = Timeouts(send=scaled(0.1))
        with self.assertRaisesRegex(ConnectionLost, "did not take"):
            for _ in range(1000):
                self.ours.send_message("x" * 60_000)

    def test_an_invalid_text_is_refused_and_the_next_one_is_sent(self: Any) -> None:
        self.assertRaises(NotText, self.ours.send_message, "\ud800")
        self.ours.send_message("fine")
        self.assertEqual("fine", self.theirs.receive_message())

    def test_finish_waits_no_longer_than_its_linger_time_and_can_be_repeated(self: Any) -> None:
        self.ours.finish(linger=scaled(0.02))
        self.ours.finish(linger=PATIENCE)
        self.assertEqual(-1, self.ours.fileno())

    def test_a_changed_idle_timeout_takes_effect(self: Any) -> None:
        for seconds in (scaled(0.02), scaled(0.04)):
            self.ours.timeouts = Timeouts(idle=seconds)
            with self.assertRaisesRegex(DeadlineExceeded, f"for {seconds:g} seconds"):
                self.ours.receive_message()

    def test_a_reset_is_a_lost_connection(self: Any) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        with server:
            client = socket.create_connection(server.getsockname())
            accepted = MessageSocket(server.accept()[0])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        with self.assertRaises(ConnectionLost):
            accepted.receive_message()
        accepted.finish(linger=PATIENCE)


class Plain(Behaviour, PlainPair):
    def test_tls_on_a_plain_connection_has_its_own_error(self) -> None:
        send_bytes(self.theirs, b"\x16\x03\x01\x02\x00\x01\x00")
        with self.assertRaises(UnexpectedTLS):
            self.ours.receive_message()


class Secure(Behaviour, SecurePair):
    pass
