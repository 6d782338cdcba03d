"""Waiting with timeouts and interruptions, over plain sockets and over TLS."""

import os
import socket
import struct
import threading
import time
import unittest
from typing import Any
from unittest import mock

from common.errors import (
    ConnectionLost,
    DeadlineExceeded,
    MessageStalled,
    SessionEnded,
)
from common.wire.framing import HEADER, encode
from common.wire.sockets import MessageSocket
from common.wire.waiting import Neighbours, Timeouts, WaitingSocket, timeval
from tests.common.wire.pair_case import Pair, PlainPair, SecurePair
from tests.support import PATIENCE, PorterTestCase, scaled, socket_pair


def tcp_pair(case: unittest.TestCase) -> tuple[MessageSocket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours = MessageSocket.adopt(listener.accept()[0])
    case.addCleanup(ours.close)
    case.addCleanup(peer.close)
    return ours, peer


class Times(unittest.TestCase):
    def test_the_kernel_gets_whole_seconds_and_less_than_a_million_microseconds(self) -> None:
        for seconds, wanted in ((None, (0, 0)), (0.25, (0, 250_000)), (1.9999999, (2, 0)), (1e-9, (0, 1))):
            self.assertEqual(wanted, struct.unpack("@ll", timeval(seconds)))


class LeftToTheKernel(PorterTestCase):
    """A large message that has not arrived completely."""

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.peer = tcp_pair(self)
        self.peer.sendall(HEADER.pack(60_000) + b"x" * 100)

    def test_a_large_message_is_not_read_before_it_is_whole(self) -> None:
        self.ours.timeouts = Timeouts(message=scaled(0.3))
        more = threading.Timer(scaled(0.05), self.peer.sendall, [b"x" * 30_000])
        more.start()
        self.assertRaises(MessageStalled, self.ours.receive_message)
        more.join()
        self.assertEqual(104, len(self.ours._rest))
        self.assertEqual(30_000, len(self.ours.recv(65_536)))

    def test_a_large_message_is_read_as_soon_as_it_is_whole_and_the_next_one_as_usual(self) -> None:
        self.ours.timeouts = Timeouts(message=PATIENCE)
        more = threading.Timer(scaled(0.05), self.peer.sendall, [b"x" * 59_900 + encode("y")])
        more.start()
        self.assertEqual("x" * 60_000, self.ours.receive_message())
        self.assertEqual("y", self.ours.receive_message())
        more.join()
        self.assertEqual(1, self.ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT))

    def test_the_end_inside_a_large_message_is_reported_at_once(self) -> None:
        end = threading.Timer(scaled(0.05), self.peer.close)
        end.start()
        with self.assertRaisesRegex(ConnectionLost, "inside a message"):
            self.ours.receive_message()
        end.join()


class Polling(PorterTestCase):
    """Uses a clock of its own, which goes forward by thirty microseconds each time it is read."""

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = socket_pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.now = 1000.0

    def read_clock(self) -> float:
        self.now += 30e-6
        return self.now

    def clock_readings(self) -> int:
        """Return how often the socket reads the clock before it sleeps: once if it does not poll."""
        with mock.patch("common.wire.waiting.time.monotonic", side_effect=self.read_clock) as clock:
            self.ours._await_what_comes_soon()
        return clock.call_count

    def test_a_socket_polls_only_after_a_quick_message_and_in_vain_only_once(self) -> None:
        self.assertEqual([1, 8, 1], [self.clock_readings() for _ in range(3)])
        self.now += 1
        self.assertEqual(1, self.clock_readings())

    def test_a_socket_polls_until_something_comes(self) -> None:
        self.clock_readings()
        self.theirs.send_message("hello")
        self.assertEqual(2, self.clock_readings())
        self.theirs.close()
        self.assertEqual(2, self.clock_readings())
        self.assertEqual("hello", self.ours.receive_message())

    def resetting_connection(self) -> tuple[MessageSocket, socket.socket]:
        """Return a connection and its peer, which resets it on close."""
        ours, peer = tcp_pair(self)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return ours, peer

    def test_a_connection_that_was_reset_is_at_its_end_at_a_stop(self) -> None:
        ours, peer = self.resetting_connection()
        peer.close()
        with mock.patch.object(ours, "_is_waiting", True):
            ours.wake()
        self.assertIsNone(ours.receive_message())

    def test_a_reset_during_polling_is_reported(self) -> None:
        ours, peer = self.resetting_connection()
        ours.neighbours = Neighbours()
        for _ in range(20):
            peer.sendall(encode("hello"))
            ours.receive_message()
        ours._soon = time.monotonic() + PATIENCE
        with mock.patch("common.wire.waiting._SOON", PATIENCE):
            resetting = threading.Timer(scaled(0.02), peer.close)
            resetting.start()
            with self.assertRaisesRegex(ConnectionLost, "reset by peer"):
                ours.receive_message()
            resetting.join()

    def test_a_socket_that_is_not_alone_does_not_poll(self) -> None:
        neighbours = self.ours.neighbours = self.theirs.neighbours = Neighbours()
        with mock.patch.object(WaitingSocket, "_await_what_comes_soon") as awake:
            for _ in range(100):
                self.theirs.send_message("hello")
                self.ours.receive_message()
                neighbours.is_alone(self.theirs)
        awake.assert_not_called()

    def test_a_socket_is_alone_after_it_was_the_only_one_sixteen_times(self) -> None:
        neighbours = Neighbours()
        for _ in range(2):
            self.assertFalse(neighbours.is_alone(self.theirs))
            self.assertEqual([False] * 16 + [True] * 4, [neighbours.is_alone(self.ours) for _ in range(20)])

    def test_a_socket_that_is_alone_receives_the_same_messages(self) -> None:
        self.ours.neighbours = Neighbours()
        for text in map(str, range(40)):
            self.theirs.send_message(text)
            self.assertEqual(text, self.ours.receive_message())
        self.theirs.close()
        self.assertIsNone(self.ours.receive_message())


class Behaviour(Pair):
    """Tests for both kinds of socket."""

    def test_a_peer_that_does_not_read_is_given_up(self: Any) -> None:
        self.ours.timeouts = Timeouts(send=scaled(0.1))
        with self.assertRaisesRegex(ConnectionLost, "did not take"):
            for _ in range(1000):
                self.ours.send_message("x" * 60_000)

    def test_an_interruption_from_another_thread_ends_a_wait_and_allows_a_farewell(self: Any) -> None:
        error = SessionEnded("your session was ended")
        interrupting = threading.Timer(scaled(0.02), self.ours.interrupt, [error])
        interrupting.start()
        self.assertRaises(SessionEnded, self.ours.receive_message)
        interrupting.join(PATIENCE)
        self.ours.send_message("goodbye")
        self.ours.finish(linger=0)
        self.assertEqual("goodbye", self.theirs.receive_message())
        self.assertIsNone(self.theirs.receive_message())

    def test_an_interruption_has_priority_over_messages_that_wait(self: Any) -> None:
        for _ in range(3):
            self.theirs.send_message("hello")
        self.assertEqual("hello", self.ours.receive_message())
        self.ours.interrupt(SessionEnded("your session was ended"))
        for _ in range(2):
            self.assertRaises(SessionEnded, self.ours.receive_message)

    def test_an_interruption_ends_a_wait_inside_a_message(self: Any) -> None:
        self.write_raw(encode("hello")[:6])
        wait = MessageSocket._wait

        def interrupt(ours: MessageSocket, *arguments: Any) -> None:
            ours.interrupt(SessionEnded("your session was ended"))
            wait(ours, *arguments)

        with mock.patch.object(MessageSocket, "_wait", interrupt):
            self.assertRaises(SessionEnded, self.ours.receive_message)

    def test_finish_waits_no_longer_than_its_linger_time_and_can_be_repeated(self: Any) -> None:
        self.ours.finish(linger=scaled(0.02))
        self.ours.finish(linger=PATIENCE)
        self.assertEqual(-1, self.ours.fileno())


class Plain(Behaviour, PlainPair):
    def test_a_non_blocking_socket_waits_as_long_as_a_blocking_one(self) -> None:
        self.ours.setblocking(False)
        self.ours.timeouts = Timeouts(idle=scaled(0.05))
        with self.assertRaisesRegex(DeadlineExceeded, f"{scaled(0.05):g} seconds"):
            self.ours.receive_message()
        self.ours.timeouts = Timeouts(idle=PATIENCE)
        late = threading.Timer(scaled(0.02), self.theirs.send_message, ["late"])
        late.start()
        self.assertEqual("late", self.ours.receive_message())
        late.join()

    def test_an_adopted_socket_loses_its_python_timeout(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        with MessageSocket.adopt(ours) as adopted, theirs:
            self.assertTrue(os.get_blocking(adopted.fileno()))

    def test_a_changed_idle_timeout_takes_effect(self) -> None:
        for seconds in (scaled(0.02), scaled(0.04)):
            self.ours.timeouts = Timeouts(idle=seconds)
            with self.assertRaisesRegex(DeadlineExceeded, f"for {seconds:g} seconds"):
                self.ours.receive_message()


class Secure(Behaviour, SecurePair):
    pass
