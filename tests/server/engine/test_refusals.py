"""Refusals: the reason arrives although the peer has sent something, and the log is neither silent nor flooded."""

import socket
import threading
from typing import Any
from unittest import mock

from common.wire.framing import encode
from tests.support import PATIENCE, PorterTestCase, RunningServer, at_once, wait_until

MOST_LINGERING = "server.engine.server._MOST_LINGERING"
FULL = encode("ERROR the server is full, try again later")


class Refused(PorterTestCase):
    def fill(self, server: RunningServer) -> Any:
        client = server.connect()
        client.send_message("x")
        client.receive_message()
        return client

    def test_a_client_that_speaks_first_reads_the_reason_and_the_end_without_a_reset(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            self.fill(server)
            for _ in range(50):
                client = server.connect_raw()
                client.sendall(encode("hello"))
                self.assertEqual(FULL, client.recv(1000))
                client.sendall(encode("are you there?"))
                self.assertEqual(b"", client.recv(1000))
                client.close()

    def test_many_clients_refused_at_once_all_get_the_reason(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            self.fill(server)
            heard: list[bytes] = []

            def be_refused() -> None:
                client = server.connect_raw()
                client.sendall(encode("hello"))
                heard.append(client.recv(1000))

            at_once(*[be_refused] * 100)
            self.assertEqual([FULL] * 100, heard)

    def test_a_freed_slot_goes_to_the_next_client(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            for _ in range(20):
                client = self.fill(server)
                client.close()
                wait_until(lambda: not server.service.connections, "a free slot")

    def test_refused_clients_that_stay_are_limited_in_number_and_cost_no_thread(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server, mock.patch(MOST_LINGERING, 2):
            self.fill(server)
            before = threading.active_count()
            clients = [server.connect_raw() for _ in range(3)]
            for client in clients:
                self.assertEqual(FULL, client.recv(1000))
                self.assertEqual(b"", client.recv(1000))
            self.assertEqual(before, threading.active_count())
            for client in clients[:2]:
                client.send(b"x")  # is read, and dropped
                client.send(b"x")
            wait_until(lambda: self.is_reset(clients[2]), "the end of the third, which did not linger")

    def is_reset(self, client: socket.socket) -> bool:
        try:
            client.send(b"x")
        except OSError:
            return True
        return False


class Sparing(PorterTestCase):
    def test_many_refusals_are_a_few_log_lines(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            client = server.connect()
            client.send_message("x")
            client.receive_message()
            for _ in range(200):
                socket.create_connection(("127.0.0.1", server.port), PATIENCE).close()
            with server.connect_raw() as last:
                last.recv(1000)
        refused = [line for line in server.log.messages if "refused: " in line]
        self.assertEqual(11, len(refused))
        self.assertRegex(refused[-1], r"WARNING - refused: .* \((190|191) more times within 60 seconds\)")
