"""The plain socket: a socket all the same, and the waits that the kernel keeps the time of."""

import os
import socket
import threading

from common.errors import (
    DeadlineExceeded,
    UnexpectedTLS,
)
from common.framing import encode
from common.sockets import MessageSocket
from common.waiting import Timeouts
from tests.support import PATIENCE, PorterTestCase, socket_pair


class PlainSocket(PorterTestCase):
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

    def test_one_that_does_not_block_waits_as_long_all_the_same(self) -> None:
        self.ours.setblocking(False)
        self.ours.timeouts = Timeouts(idle=0.05)
        with self.assertRaisesRegex(DeadlineExceeded, r"0\.05 seconds"):
            self.ours.receive_message()
        self.ours.timeouts = Timeouts(idle=PATIENCE)
        late = threading.Timer(0.02, self.theirs.send_message, ["late"])
        late.start()
        self.assertEqual("late", self.ours.receive_message())
        late.join()

    def test_one_that_had_a_timeout_is_adopted_without(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        with MessageSocket.adopt(ours) as adopted, theirs:
            self.assertTrue(os.get_blocking(adopted.fileno()))

    def test_large_and_small_messages_take_turns(self) -> None:
        self.ours.max_message = self.theirs.max_message = 10**6
        for size in (10, 70_000, 10, 4092, 4093, 65536, 65536, 200_000, 0):
            text = "\u044f" * (size // 2)
            self.theirs.send_message(text)
            self.assertEqual(text, self.ours.receive_message())

    def test_the_kernel_is_told_of_another_idle_timeout(self) -> None:
        for seconds in (0.02, 0.04):
            self.ours.timeouts = Timeouts(idle=seconds)
            with self.assertRaisesRegex(DeadlineExceeded, f"for {seconds} seconds"):
                self.ours.receive_message()

    def test_tls_on_a_plain_connection_is_named(self) -> None:
        self.theirs._send_all(b"\x16\x03\x01\x02\x00\x01\x00")
        with self.assertRaises(UnexpectedTLS):
            self.ours.receive_message()
