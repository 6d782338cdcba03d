"""Refusals: the reason arrives although the peer has sent something, and the log is neither silent nor flooded."""

import socket
import threading
from typing import Any
from unittest import mock

from common.errors import ConnectionRefused
from common.wire.framing import encode
from server.engine import refusals
from server.engine.refusals import Refusals, SparingLog
from tests.support import PATIENCE, PorterTestCase, RunningServer, at_once, socket_pair, wait_until

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

    def test_refused_clients_that_stay_hold_a_limited_number_of_threads(self) -> None:
        with mock.patch.object(refusals, "_MOST_LINGERING", 2):
            refusing = Refusals()
        pairs = [socket_pair() for _ in range(3)]
        with self.assertLogs("porter.server", "WARNING"):
            threads = [
                threading.Thread(target=refusing.refuse, args=[ours, "peer", ConnectionRefused("no")])
                for ours, _ in pairs
            ]
            for thread, (_, theirs) in zip(threads, pairs, strict=True):
                thread.start()
                self.assertEqual("ERROR no", theirs.receive_message())
                self.assertIsNone(theirs.receive_message())
        threads[2].join(PATIENCE)
        self.assertRaises(BrokenPipeError, pairs[2][1].send, b"x")  # closed without lingering
        for _, theirs in pairs[:2]:
            theirs.send(b"x")
        for thread, (_, theirs) in zip(threads, pairs, strict=True):
            theirs.close()
            thread.join(PATIENCE)

    def test_without_lingering_the_reason_is_sent_and_the_connection_closed_at_once(self) -> None:
        ours, theirs = socket_pair()
        with self.assertLogs("porter.server", "WARNING"):
            Refusals().refuse(ours, "peer", ConnectionRefused("no"), linger=False)
        self.assertEqual("ERROR no", theirs.receive_message())
        self.assertIsNone(theirs.receive_message())
        self.assertRaises(BrokenPipeError, theirs.send, b"x")
        theirs.close()


class Sparing(PorterTestCase):
    def test_the_first_refusals_get_a_line_each_and_the_rest_are_counted(self) -> None:
        log = SparingLog(lines=2)
        with self.assertLogs("porter.server", "WARNING") as logged:
            for number in range(1000):
                log.log("refused: the server is full", f"10.0.0.1:{number}")
            log.log("refused: too many", "10.0.0.1:1")
            log.report()
            self.assertEqual(3, len(logged.records))
            log.report(at_once=True)
            log.report(at_once=True)
        self.assertEqual("10.0.0.1:0", vars(logged.records[0])["peer"])
        self.assertEqual(
            "refused: the server is full (998 more times within 60 seconds)", logged.records[-1].getMessage()
        )
        self.assertEqual(4, len(logged.records))

    def test_after_the_period_the_count_starts_again(self) -> None:
        log = SparingLog(lines=1, period=0)
        with self.assertLogs("porter.server", "WARNING") as logged:
            for _ in range(2):
                for _ in range(3):
                    log.log("refused")
                log.report()
        self.assertEqual(
            ["refused", "refused (2 more times within 0 seconds)"] * 2,
            [record.getMessage() for record in logged.records],
        )

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
