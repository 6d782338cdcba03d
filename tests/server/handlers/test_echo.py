"""The echo mode: every message comes back unchanged, without and with TLS."""

import random
import threading
from typing import Any

from common.wire.framing import encode
from tests.support import PATIENCE, PorterTestCase, send_bytes


class Behaviour:
    def test_every_message_comes_back_unchanged(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            for text in ("hello", "", "TEXT x", "Привет\r\n\x00\x1b", "/logout", "x" * 65536):
                client.send_message(text)
                self.assertEqual(text, client.receive_message())

    def test_any_mix_of_large_and_small_messages_comes_back(self: Any) -> None:
        edges = (0, 1, 2043, 2044, 2045, 16379, 16380, 16381, 16384, 33_000, 49_157, 65_535, 65_536)
        with self.server("echo") as server:
            client = server.connect()
            for size in random.Random(4).choices(edges, k=200):
                client.send_message("x" * size)
                self.assertEqual(size, len(client.receive_message()))

    def test_the_server_never_speaks_first(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            server.log.wait_for("client connected")
            self.assertEqual([], list(client.receive_waiting()))

    def test_many_messages_in_a_row_come_back_in_order(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            for number in range(500):
                client.send_message(str(number))
            self.assertEqual([str(n) for n in range(500)], [client.receive_message() for _ in range(500)])

    def test_each_of_many_clients_gets_its_own_echoes(self: Any) -> None:
        with self.server("echo") as server:
            heard = []

            def talk(name: str) -> None:
                client = server.connect()
                for number in range(20):
                    client.send_message(f"{name} {number}")
                    heard.append(client.receive_message() == f"{name} {number}")

            threads = [threading.Thread(target=talk, args=[str(number)]) for number in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            self.assertEqual([True] * 800, heard)

    def test_a_message_in_pieces_is_one_message(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            for byte in encode("in pieces"):
                send_bytes(client, bytes([byte]))
            self.assertEqual("in pieces", client.receive_message())


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True
