"""The message sockets: the same behaviour over plain sockets and over TLS."""

import contextlib
import socket
import ssl
import threading
import warnings
from typing import Any

from common.deadline import Deadline
from common.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HandshakeFailed,
    MessageStalled,
    MessageTooLong,
    NotText,
    Stopping,
    UnexpectedTLS,
)
from common.framing import encode
from common.sockets import MessageMixin, MessageSocket, SecureMessageSocket, Timeouts
from common.stopflag import StopFlag
from common.tls import client_context, server_context
from server.certificate import ensure
from tests.support import PATIENCE, PorterTestCase, secure_pair, socket_pair


class Record:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []

    def received(self, length: int) -> None:
        self.lines.append(("received", length))

    def sent(self, length: int) -> None:
        self.lines.append(("sent", length))


class Behaviour:
    """What both kinds of socket do."""

    ours: MessageMixin
    theirs: MessageMixin

    def write_raw(self: Any, data: bytes) -> None:
        """Bytes that are no frame of send_message's, within TLS where there is TLS."""
        self.theirs._send_all(data)

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

    def test_many_in_a_row_come_out_one_by_one(self: Any) -> None:
        for number in range(100):
            self.theirs.send_message(str(number))
        self.assertEqual([str(number) for number in range(100)], [self.ours.receive_message() for _ in range(100)])

    def test_answers_of_a_burst_leave_together_before_the_next_wait(self: Any) -> None:
        self.write_raw(b"".join(encode(text) for text in "abc"))
        journal = self.ours.journal = Record()
        for _ in range(3):
            self.ours.send_message(self.ours.receive_message().upper())
        kinds = [what for what, _ in journal.lines]
        self.assertEqual(["received"] * 3 + ["sent"] * 3, kinds)
        self.assertEqual(["A", "B", "C"], [self.theirs.receive_message() for _ in range(3)])

    def test_large_answers_of_a_burst_do_not_pile_up(self: Any) -> None:
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

    def test_too_long_a_message_is_refused_before_it_comes(self: Any) -> None:
        self.ours.max_message = 10
        self.assertEqual(10, self.ours.max_message)
        self.write_raw(b"\0\0\0\x0b")
        with self.assertRaises(MessageTooLong):
            self.ours.receive_message()

    def test_what_is_not_utf8_is_refused(self: Any) -> None:
        self.write_raw(b"\0\0\0\x02\xc3\x28")
        with self.assertRaises(NotText):
            self.ours.receive_message()

    def test_a_silent_peer_is_waited_for_until_the_idle_timeout(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=0.05)
        with self.assertRaisesRegex(DeadlineExceeded, r"no message for 0\.05 seconds"):
            self.ours.receive_message()

    def test_a_message_that_drips_stalls_although_bytes_keep_coming(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=PATIENCE, message=0.2)
        stop = threading.Event()

        def drip() -> None:
            for byte in encode("x" * 1000):
                self.theirs._send_all(bytes([byte]))
                if stop.wait(0.01):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        with self.assertRaisesRegex(MessageStalled, r"not complete after 0\.2 seconds"):
            self.ours.receive_message()
        stop.set()
        dripping.join()

    def test_each_message_has_the_whole_time(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=PATIENCE, message=PATIENCE)
        first, second = encode("first"), encode("second")
        self.write_raw(first[:5])
        sender = threading.Timer(0.02, self.write_raw, [first[5:] + second[:5]])
        sender.start()
        self.assertEqual("first", self.ours.receive_message())
        sender.join()
        self.assertIsNone(self.ours._message_deadline)
        self.write_raw(second[5:])
        self.assertEqual("second", self.ours.receive_message())

    def test_an_overall_deadline_comes_before_the_idle_timeout(self: Any) -> None:
        self.ours.timeouts = Timeouts(idle=PATIENCE)
        self.ours.overall = Deadline(0.05, lambda: DeadlineExceeded("too slow"))
        with self.assertRaisesRegex(DeadlineExceeded, "too slow"):
            self.ours.receive_message()

    def test_a_peer_that_does_not_read_is_given_up(self: Any) -> None:
        self.ours.timeouts = Timeouts(send=0.1)
        with self.assertRaisesRegex(ConnectionLost, "did not take"):
            for _ in range(1000):
                self.ours.send_message("x" * 60_000)

    def test_the_stop_flag_wakes_a_waiting_socket(self: Any) -> None:
        flag = self.stop_flag()
        threading.Timer(0.02, flag.set).start()
        with self.assertRaises(Stopping):
            self.ours.receive_message()

    def test_what_had_come_before_the_stop_is_still_received(self: Any) -> None:
        self.theirs.send_message("a")
        self.theirs.send_message("b")
        self.stop_flag().set()
        self.assertEqual("a", self.ours.receive_message())
        if self.ours._decoder.has_body():  # both came in one read
            self.assertEqual("b", self.ours.receive_message())
        with self.assertRaises(Stopping):
            self.ours.receive_message()

    def test_a_message_that_has_begun_is_finished_in_spite_of_the_stop(self: Any) -> None:
        frame = encode("hello")
        self.write_raw(frame[:6])
        flag = self.stop_flag()
        list(self.ours.receive_waiting())
        flag.set()
        sender = threading.Timer(0.02, self.write_raw, [frame[6:]])
        sender.start()
        self.assertEqual("hello", self.ours.receive_message())
        sender.join()

    def test_the_journal_hears_of_each_message(self: Any) -> None:
        journal = self.ours.journal = Record()
        self.ours.send_message("héllo")
        self.theirs.receive_message()
        self.theirs.send_message("x")
        self.ours.receive_message()
        self.assertEqual([("sent", 6), ("received", 1)], journal.lines)

    def test_what_has_come_can_be_taken_without_waiting(self: Any) -> None:
        self.assertEqual([], list(self.ours.receive_waiting()))
        self.write_raw(encode("a") + encode("b") + b"\0\0")
        self.assertEqual(["a", "b"], list(self.ours.receive_waiting()))
        self.assertFalse(self.ours.has_ended)
        self.write_raw(b"\0\0")
        self.assertEqual([""], list(self.ours.receive_waiting()))
        self.theirs.finish(linger=0)
        self.assertEqual([], list(self.ours.receive_waiting()))
        self.assertTrue(self.ours.has_ended)

    def test_what_came_before_a_breach_is_not_lost_with_it(self: Any) -> None:
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

    def test_finishing_does_not_wait_longer_than_it_lingers_and_can_be_repeated(self: Any) -> None:
        self.ours.finish(linger=0.02)
        self.ours.finish(linger=PATIENCE)
        self.assertEqual(-1, self.ours.fileno())

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


class Plain(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = socket_pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_it_is_a_socket_and_stays_one(self) -> None:
        assert isinstance(self.ours, socket.socket)
        self.ours.sendall(b"raw")
        self.assertEqual(b"raw", self.theirs.recv(10))

    def test_one_that_was_made_and_not_adopted_works_as_well(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, MessageSocket() as client:
            client.connect(server.getsockname())
            client.send_message("hello")
            accepted, _ = server.accept()
            with accepted:
                self.assertEqual(encode("hello"), accepted.recv(100))

    def test_tls_on_a_plain_connection_is_named(self) -> None:
        self.write_raw(b"\x16\x03\x01\x02\x00\x01\x00")
        with self.assertRaises(UnexpectedTLS):
            self.ours.receive_message()


class Secure(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = secure_pair(self.folder)
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_an_end_without_goodbye_is_a_lost_connection(self) -> None:
        socket.socket.shutdown(self.theirs, socket.SHUT_RDWR)
        with self.assertRaises(ConnectionLost):
            self.ours.receive_message()

    def test_it_never_blocks_even_if_it_was_left_blocking(self) -> None:
        self.ours.setblocking(True)
        self.ours.timeouts = Timeouts(idle=0.02)
        with self.assertRaises(DeadlineExceeded):
            self.ours.receive_message()


class Handshakes(PorterTestCase):
    def secured(self) -> tuple[SecureMessageSocket, socket.socket]:
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        ensure(certificate, key)
        first, second = socket.socketpair()
        self.addCleanup(second.close)
        ours = server_context(certificate, key).wrap_socket(
            first, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self.addCleanup(ours.close)
        assert isinstance(ours, SecureMessageSocket)
        return ours, second

    def test_a_silent_peer_is_waited_for_until_the_timeout(self) -> None:
        ours, _ = self.secured()
        with self.assertRaisesRegex(DeadlineExceeded, r"no TLS handshake within 0\.05 seconds"):
            ours.handshake(0.05)

    def test_a_peer_that_does_not_speak_tls_is_told_from_other_failures(self) -> None:
        ours, theirs = self.secured()
        theirs.sendall(encode("TEXT hello"))
        with self.assertRaisesRegex(HandshakeFailed, "does not speak TLS"):
            ours.handshake(PATIENCE)

    def test_nothing_is_sent_in_clear_after_a_failure(self) -> None:
        ours, theirs = self.secured()
        theirs.sendall(encode("TEXT hello"))
        with self.assertRaises(HandshakeFailed):
            ours.handshake(PATIENCE)
        with self.assertRaises(ConnectionLost):
            ours.send_message("secret")
        ours.finish(linger=0)
        self.assertNotIn(b"secret", theirs.recv(1000))

    def test_other_failures_say_what_tls_says(self) -> None:
        ours, theirs = self.secured()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings(action="ignore"):  # that it is deprecated is the point
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")

        def try_old() -> None:
            with contextlib.suppress(OSError):
                old.wrap_socket(theirs).close()

        trying = threading.Thread(target=try_old)
        trying.start()
        with self.assertRaisesRegex(HandshakeFailed, "unsupported protocol"):
            ours.handshake(PATIENCE)
        ours.finish(linger=0)
        trying.join(PATIENCE)

    def test_a_peer_that_goes_away_is_a_lost_connection_or_a_failed_handshake(self) -> None:
        ours, theirs = self.secured()
        theirs.close()
        with self.assertRaises((ConnectionLost, HandshakeFailed)):
            ours.handshake(PATIENCE)

    def test_a_client_that_meets_a_plain_server_says_so(self) -> None:
        first, second = socket.socketpair()
        self.addCleanup(second.close)
        client = client_context().wrap_socket(first, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        self.addCleanup(client.close)
        assert isinstance(client, SecureMessageSocket)
        second.sendall(encode("ERROR this is TLS, but the connection is plain"))
        with self.assertRaisesRegex(HandshakeFailed, "does not speak TLS"):
            client.handshake(PATIENCE)
