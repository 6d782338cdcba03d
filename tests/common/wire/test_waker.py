"""The waker of a thread: what ends a wait, and what does not."""

import socket
import threading
import time
from select import POLLIN as READ
from select import POLLOUT as WRITE

from common.wire.waker import Waker
from tests.support import PATIENCE, PorterTestCase, scaled


class Wakers(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.waker = Waker()
        self.addCleanup(self.waker.close)

    def seconds(self, events: int, most: float) -> float:
        """Return how long it waits for events on our socket."""
        start = time.monotonic()
        self.waker.wait(self.ours.fileno(), events, most)
        return time.monotonic() - start

    def test_a_wait_ends_with_its_time_with_an_event_or_with_a_wake(self) -> None:
        self.assertGreaterEqual(self.seconds(READ, scaled(0.05)), scaled(0.04))
        self.assertLess(self.seconds(WRITE, PATIENCE), PATIENCE / 2)
        waking = threading.Timer(scaled(0.02), self.waker.wake)
        waking.start()
        self.assertLess(self.seconds(READ, PATIENCE), PATIENCE / 2)
        waking.join()
        self.theirs.send(b"x")
        self.assertLess(self.seconds(READ, PATIENCE), PATIENCE / 2)

    def test_wakes_before_the_wait_end_it_at_once_and_only_once(self) -> None:
        for _ in range(3):
            self.waker.wake()
        self.assertLess(self.seconds(READ, PATIENCE), PATIENCE / 2)
        self.assertGreaterEqual(self.seconds(READ, scaled(0.05)), scaled(0.04))

    def test_another_connection_takes_the_place_of_the_last(self) -> None:
        self.seconds(READ, 0)
        other, its_peer = socket.socketpair()
        with other, its_peer:
            self.theirs.send(b"x")  # for the first, which is not waited for any more
            start = time.monotonic()
            self.waker.wait(other.fileno(), READ, scaled(0.05))
            self.assertGreaterEqual(time.monotonic() - start, scaled(0.04))
