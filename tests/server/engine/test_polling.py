"""poll() in place of epoll."""

import select
import socket

from server.engine.polling import READ, WRITE, Poll
from tests.support import PATIENCE, PorterTestCase


class Polls(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.poll = Poll()

    def test_poll_tells_what_epoll_tells(self) -> None:
        epoll = select.epoll()
        self.addCleanup(epoll.close)
        fd = self.ours.fileno()
        for poller in (self.poll, epoll):
            poller.register(fd, READ)
            self.assertEqual([], poller.poll(0))
        self.theirs.send(b"x")
        for poller in (self.poll, epoll):
            self.assertEqual([(fd, READ)], poller.poll(PATIENCE))
            poller.modify(fd, READ | WRITE)
            self.assertEqual([(fd, READ | WRITE)], poller.poll(0))
            poller.modify(fd, 0)
            self.assertEqual([], poller.poll(0))
            poller.unregister(fd)
        self.poll.close()
