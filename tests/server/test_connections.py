"""The register of connections: places, sources, the last one's end."""

import threading

from common.errors import ConnectionRefused
from common.sockets import MessageSocket
from server.connections import Connections
from server.settings import Limits
from tests.support import PATIENCE, PorterTestCase, socket_pair


class Register(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.connections = Connections()
        self.limits = Limits(max_connections=3, max_connections_per_address=2)

    def socket(self) -> MessageSocket:
        first, second = socket_pair()
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        return first

    def test_a_full_server_refuses(self) -> None:
        for source in ("a", "b", "c"):
            self.connections.admit(self.socket(), source, self.limits)
        with self.assertRaisesRegex(ConnectionRefused, "the server is full"):
            self.connections.admit(self.socket(), "d", self.limits)
        self.assertEqual(3, len(self.connections))

    def test_an_address_with_too_many_is_refused_and_others_are_not(self) -> None:
        self.connections.admit(self.socket(), "a", self.limits)
        self.connections.admit(self.socket(), "a", self.limits)
        with self.assertRaisesRegex(ConnectionRefused, "from your address"):
            self.connections.admit(self.socket(), "a", self.limits)
        self.connections.admit(self.socket(), "b", self.limits)

    def test_a_freed_place_is_free_at_once(self) -> None:
        first = self.socket()
        self.connections.admit(first, "a", self.limits)
        self.connections.admit(self.socket(), "a", self.limits)
        self.assertTrue(self.connections.remove(first))
        self.assertFalse(self.connections.remove(first))
        self.connections.admit(self.socket(), "a", self.limits)

    def test_the_last_one_s_end_wakes_who_waits(self) -> None:
        request = self.socket()
        self.connections.admit(request, "a", self.limits)
        self.assertFalse(self.connections.wait_until_none(0))
        threading.Timer(0.02, self.connections.remove, [request]).start()
        self.assertTrue(self.connections.wait_until_none(PATIENCE))

    def test_cutting_ends_them_all(self) -> None:
        request = self.socket()
        self.connections.admit(request, "a", self.limits)
        self.assertEqual(1, self.connections.cut())
        self.assertEqual(b"", request.recv(1))
