"""The message sockets: the same behaviour over plain sockets and over TLS."""

import contextlib
import socket
import struct
import threading
import tracemalloc
from typing import Any
from unittest import mock

from common.errors import (
    ConnectionLost,
    DeadlineExceeded,
    MessageStalled,
    MessageTooLong,
    NotText,
    Stopping,
    UnexpectedTLS,
)
from common.wire.deadline import Deadline
from common.wire.framing import encode
from common.wire.sockets import MessageSocket
from common.wire.stopflag import StopFlag
from common.wire.waiting import Timeouts
from tests.common.wire.pair_case import Pair, PlainPair, SecurePair
from tests.support import PATIENCE, scaled, send_bytes


class Record:
    """A journal that remembers the counts: messages received and sent, each with the bytes of their frames."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int, int, int]] = []
        self.is_closed = False

    def log_messages(self, connection: MessageSocket) -> None:
        self.shown.append(
            (
                connection.messages_received,
                connection.bytes_received,
                connection.messages_sent,
                connection.bytes_sent,
            )
        )

    def close(self, _: MessageSocket) -> None:
        self.is_closed = True


class Behaviour(Pair):
    """Tests for both kinds of socket."""

    def keep_journal(self: Any) -> Record:
        self.ours.journal = journal = Record()
        self.ours.is_followed = True
        return journal

    def stop_flag(self: Any) -> StopFlag:
        flag = StopFlag()
        self.addCleanup(flag.close)
        self.ours.stop = flag
        return flag

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

    def test_only_a_few_of_thousands_of_messages_are_decoded_at_a_time(self: Any) -> None:
        texts = [str(number) for number in range(4000)]
        self.write_raw(b"".join(map(encode, texts)))
        received = []
        for _ in texts:
            received.append(self.ours.receive_message())
            self.assertLess(len(self.ours._ready), 64)
        self.assertEqual(texts, received)

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

    def test_the_answers_to_a_burst_are_sent_together_before_the_next_wait(self: Any) -> None:
        self.write_raw(b"".join(encode(text) for text in "abc"))
        journal = self.keep_journal()
        for _ in range(3):
            self.ours.send_message(self.ours.receive_message().upper())
        self.assertEqual([(3, 15, 0, 0), (3, 15, 3, 15)], journal.shown)
        self.assertEqual(["A", "B", "C"], [self.theirs.receive_message() for _ in range(3)])

    def test_large_answers_to_a_burst_do_not_pile_up(self: Any) -> None:
        self.theirs.max_message = 10**7
        self.write_raw(encode("a") + encode("b"))
        self.ours.receive_message()
        self.ours.send_message("x" * 70_000)
        self.assertEqual("x" * 70_000, self.theirs.receive_message())

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
        self.assertIsNone(self.ours._message_deadline)
        self.write_raw(second[5:])
        self.assertEqual("second", self.ours.receive_message())

    def test_an_overall_deadline_comes_before_the_idle_timeout(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=PATIENCE)
        self.ours.overall = Deadline(scaled(0.05), DeadlineExceeded, "too slow")
        with self.assertRaisesRegex(DeadlineExceeded, "too slow"):
            self.ours.receive_message()

    def test_the_stop_flag_wakes_a_waiting_socket(self: Any) -> None:
        flag = self.stop_flag()

        def stop() -> None:
            flag.set()
            self.ours.wake()

        stopping = threading.Timer(scaled(0.02), stop)
        stopping.start()
        self.assertRaises(Stopping, self.ours.receive_message)
        stopping.join()
        self.ours.send_message("goodbye")
        self.ours.finish(linger=0)
        self.assertEqual("goodbye", self.theirs.receive_message())
        self.assertIsNone(self.theirs.receive_message())

    def test_a_wake_does_not_break_a_message_that_has_begun(self: Any) -> None:
        self.write_raw(encode("hello")[:6])
        with mock.patch.object(self.ours, "_is_waiting", True):  # its thread has not seen the bytes yet
            self.ours.wake()
        self.write_raw(encode("hello")[6:])
        self.assertEqual("hello", self.ours.receive_message())

    def test_a_peer_that_has_left_is_at_its_end_at_a_stop(self: Any) -> None:
        self.theirs.finish(linger=0)
        with mock.patch.object(self.ours, "_is_waiting", True):
            self.ours.wake()
        self.assertIsNone(self.ours.receive_message())

    def test_messages_that_came_before_the_stop_are_still_received(self: Any) -> None:
        self.theirs.send_message("a")
        self.theirs.send_message("b")
        self.stop_flag().set()
        self.assertEqual("a", self.ours.receive_message())
        if self.ours._ready:  # both came in one read
            self.assertEqual("b", self.ours.receive_message())
        with self.assertRaises(Stopping):
            self.ours.receive_message()

    def test_a_message_that_has_begun_is_finished_in_spite_of_the_stop(self: Any) -> None:
        frame = encode("hello")
        self.write_raw(frame[:6])
        flag = self.stop_flag()
        list(self.ours.receive_waiting())
        flag.set()
        sender = threading.Timer(scaled(0.02), self.write_raw, [frame[6:]])
        sender.start()
        self.assertEqual("hello", self.ours.receive_message())
        sender.join()

    def test_a_peer_that_never_pauses_does_not_delay_the_stop(self: Any) -> None:
        frames = encode("x" * 100) * 3000
        flag = self.stop_flag()
        sending = threading.Thread(target=self.send_until_lost, args=[frames])
        sending.start()
        self.ours.receive_message()
        flag.set()
        received = 0
        with self.assertRaises(Stopping):
            while self.ours.receive_message():
                received += 1
        self.assertLess(received, 3 * 16384 // 104)
        self.ours.close()
        sending.join(PATIENCE)

    def send_until_lost(self: Any, data: bytes) -> None:
        with contextlib.suppress(ConnectionLost):
            send_bytes(self.theirs, data)

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

    def test_the_journal_gets_each_message_and_the_end_while_it_follows(self: Any) -> None:
        journal = self.keep_journal()
        self.ours.send_message("h\u00e9llo")
        self.theirs.receive_message()
        self.theirs.send_message("x")
        self.ours.receive_message()
        self.assertEqual([(0, 0, 1, 10), (1, 5, 1, 10)], journal.shown)
        self.ours.is_followed = False
        self.ours.send_message("y")
        self.assertEqual(2, len(journal.shown))
        self.assertEqual((2, 15), (self.ours.messages_sent, self.ours.bytes_sent))
        self.ours.finish(linger=0)
        self.assertTrue(journal.is_closed)

    def test_an_echo_of_a_burst_and_other_answers_arrive_unchanged(self: Any) -> None:
        texts = ["\u043f\u0440\u0438\u0432\u0435\u0442", "", "c" * 3000, "d"]
        for answers in (texts, [*texts[:3], "e"], texts[:1], texts[::-1], [*texts, "more"]):
            self.write_raw(b"".join(map(encode, texts)))
            self.assertEqual(texts, [self.ours.receive_message() for _ in texts])
            for answer in answers:
                self.ours.send_message(answer)
            self.ours.flush()
            self.assertEqual(answers, [self.theirs.receive_message() for _ in answers])

    def test_an_invalid_text_is_refused_at_once_and_the_burst_is_still_answered(self: Any) -> None:
        self.write_raw(encode("a") + encode("b"))
        self.ours.receive_message()
        self.ours.send_message("A")
        self.assertRaises(NotText, self.ours.send_message, "\ud800")
        self.ours.receive_message()
        self.ours.send_message("B")
        self.assertEqual(["A", "B"], [self.theirs.receive_message() for _ in "AB"])
        self.assertRaises(NotText, self.ours.send_message, "\ud800")

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

    def test_an_invalid_text_at_the_end_of_a_burst_loses_no_earlier_answer(self: Any) -> None:
        self.write_raw(encode("a") + encode("b"))
        self.ours.receive_message()
        self.ours.send_message("A")
        self.ours.receive_message()
        self.assertRaises(NotText, self.ours.send_message, "\udc80")
        self.ours.send_message("B")
        self.assertEqual(["A", "B"], [self.theirs.receive_message() for _ in "AB"])

    def test_a_breach_right_after_a_message_is_raised_at_the_next_receive(self: Any) -> None:
        for breach, error in ((b"\x00\xff\xff\xff", MessageTooLong), (b"\0\0\0\1\xff", NotText)):
            self.write_raw(encode("good") + breach)
            self.assertEqual("good", self.ours.receive_message())
            self.assertRaises(error, self.ours.receive_message)
            self.ours._rest.clear()

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

    def test_a_reset_is_a_lost_connection(self: Any) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        with server:
            client = socket.create_connection(server.getsockname())
            accepted = MessageSocket.adopt(server.accept()[0])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        with self.assertRaises(ConnectionLost):
            accepted.receive_message()
        accepted.finish(linger=PATIENCE)


class Plain(Behaviour, PlainPair):
    def test_a_message_socket_is_still_a_socket(self) -> None:
        self.assertIsInstance(self.ours, socket.socket)
        self.ours.sendall(b"raw")
        self.assertEqual(b"raw", self.theirs.recv(10))

    def test_a_socket_that_was_created_and_not_adopted_works_too(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, MessageSocket() as client:
            client.connect(server.getsockname())
            client.send_message("hello")
            accepted, _ = server.accept()
            with accepted:
                self.assertEqual(encode("hello"), accepted.recv(100))

    def test_tls_on_a_plain_connection_has_its_own_error(self) -> None:
        send_bytes(self.theirs, b"\x16\x03\x01\x02\x00\x01\x00")
        with self.assertRaises(UnexpectedTLS):
            self.ours.receive_message()


class Secure(Behaviour, SecurePair):
    pass
