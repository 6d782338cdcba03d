"""Refusals: what is said arrives although the peer has spoken, and the log neither keeps silent nor floods."""

import socket
from typing import Any
from unittest import mock

from common.errors import ConnectionRefused
from common.framing import encode
from server import refusals
from server.refusals import Refusals, SparingLog
from server.threads import ThreadSet
from tests.support import PATIENCE, PorterTestCase, RunningServer, at_once, socket_pair, wait_until

FULL = encode("ERROR the server is full, try again later")


class Refused(PorterTestCase):
    def fill(self, server: RunningServer) -> Any:
        client = server.connect()
        client.send_message("x")
        client.receive_message()
        return client

    def test_who_speaks_first_reads_why_and_an_end_and_no_reset(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            self.fill(server)
            for _ in range(50):
                client = server.connect_raw()
                client.sendall(encode("hello"))
                self.assertEqual(FULL, client.recv(1000))
                client.sendall(encode("are you there?"))
                self.assertEqual(b"", client.recv(1000))
                client.close()

    def test_many_at_once_are_all_told(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            self.fill(server)
            heard: list[bytes] = []

            def be_refused() -> None:
                client = server.connect_raw()
                client.sendall(encode("hello"))
                heard.append(client.recv(1000))

            at_once(*[be_refused] * 100)
            self.assertEqual([FULL] * 100, heard)

    def test_a_place_that_becomes_free_is_the_next_one_s(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            for _ in range(20):
                client = self.fill(server)
                client.close()
                wait_until(lambda: not server.service.connections, "a free place")

    def test_those_who_stay_hold_no_more_than_so_many_threads(self) -> None:
        threads = ThreadSet("refusing")
        refusing = Refusals(threads)
        pairs = [socket_pair() for _ in range(3)]
        with mock.patch.object(refusals, "_MOST_LINGERING", 2):
            refusing = Refusals(threads)
        with self.assertLogs("porter.server", "WARNING"):
            for ours, _ in pairs:
                refusing.refuse(ours, "peer", ConnectionRefused("no"))
        for _, theirs in pairs:
            self.assertEqual("ERROR no", theirs.receive_message())
            self.assertIsNone(theirs.receive_message())
        self.assertRaises(BrokenPipeError, pairs[2][1].send, b"x")  # closed without lingering
        for _, theirs in pairs[:2]:
            theirs.send(b"x")
        for _, theirs in pairs:
            theirs.close()
        threads.close()

    def test_where_no_thread_can_be_had_it_is_told_at_once(self) -> None:
        ours, theirs = socket_pair()
        no_thread = mock.patch.object(ThreadSet, "run", side_effect=RuntimeError("can't start new thread"))
        with no_thread, self.assertLogs("porter.server", "WARNING"):
            Refusals(ThreadSet("refusing")).refuse(ours, "peer", ConnectionRefused("no"))
        self.assertEqual("ERROR no", theirs.receive_message())
        self.assertIsNone(theirs.receive_message())
        self.assertRaises(BrokenPipeError, theirs.send, b"x")
        theirs.close()


class Sparing(PorterTestCase):
    def test_the_first_few_have_a_line_each_and_the_rest_are_counted(self) -> None:
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

    def test_after_the_period_it_begins_anew(self) -> None:
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

    def test_a_thousand_refusals_are_a_few_lines(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            client = server.connect()
            client.send_message("x")
            client.receive_message()
            for _ in range(200):
                socket.create_connection(("127.0.0.1", server.port), PATIENCE).close()
            with server.connect_raw() as last:
                last.recv(1000)
            server.service.stop_listening()
            server.service._server._refusals.close()
            refused = [line for line in server.log.messages if "refused: " in line]
            self.assertEqual(11, len(refused))
            self.assertRegex(refused[-1], r"WARNING - refused: .* \((190|191) more times within 60 seconds\)")
