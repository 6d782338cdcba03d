"""Clients break off with a reset, which is what the kernel sends for a program that was killed."""

import os
import socket
import struct
import threading
import unittest

from exercises import tried

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset


class Survive(unittest.TestCase):
    def test_after_clients_that_broke_off_the_next_one_is_served(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            server = threading.Thread(target=tried("survive").serve, args=[listener], daemon=True)
            server.start()
            opened = len(os.listdir("/dev/fd"))
            for _ in range(50):
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    client.sendall(b"hello")
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(b"hello")
                self.assertEqual(b"hello", client.recv(100), "the server is still there")
                self.assertLess(len(os.listdir("/dev/fd")), opened + 5, "each connection is closed")
                client.sendall(b"stop")
                self.assertEqual(b"", client.recv(100))
            server.join(5)
            self.assertFalse(server.is_alive())
