"""The clients of a load: how they count answers, and which answers are errors."""

import time

from benchmarks.clients import Client, Echoing, Paced, Tally, Visiting
from benchmarks.work import Kinds, Refused, Work
from tests.support import PorterTestCase, wait_until


class Clients(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.echo = self.enterContext(self.server("echo"))
        self.tally = Tally()

    def work(self, kind: Kinds = Kinds.MESSAGES, depth: int = 1) -> Work:
        return Work("127.0.0.1", self.echo.port, kind=kind, depth=depth)

    def step(self, client: Client) -> bool:
        client.on_event()
        return self.tally.messages > 0

    def test_a_burst_counts_when_its_whole_echo_has_arrived(self) -> None:
        client = Echoing(self.work(depth=5), 0, self.tally)
        self.addCleanup(client.connection.close)
        wait_until(lambda: self.step(client), "an echo")
        self.assertEqual(0, self.tally.messages % 5)
        self.assertEqual(self.tally.messages / 5, sum(self.tally.times.values()))

    def test_a_wrong_echo_is_an_error(self) -> None:
        for kind in (Echoing, Paced):
            client = kind(self.work(), 0, self.tally)
            self.addCleanup(client.connection.close)
            with self.assertRaisesRegex(Refused, "not what was sent"):
                client.on_data(b"?" * 1000)

    def test_a_paced_client_counts_from_the_moment_when_a_message_was_due(self) -> None:
        client = Paced(self.work(), 0, self.tally)
        self.addCleanup(client.connection.close)
        client.send_one(time.monotonic() - 10)
        wait_until(lambda: self.step(client), "an echo")
        self.assertGreater(min(self.tally.times), 10_000_000)

    def test_a_visitor_leaves_after_one_message_and_can_come_again(self) -> None:
        client = Visiting(self.work(Kinds.CONNECT), 0, self.tally)
        for visits in (1, 2):
            wait_until(lambda: self.step(client) and client.is_over, "the end of a visit")
            client.connection.close()
            self.assertEqual(visits, sum(self.tally.times.values()))
            client.open()
        client.connection.close()

    def test_a_server_that_stops_is_an_error(self) -> None:
        client = Echoing(self.work(), 0, self.tally)
        self.addCleanup(client.connection.close)
        self.echo.service.stop_listening()
        self.echo.service.drain()
        with self.assertRaises((Refused, ConnectionResetError)):  # a farewell or the end comes first
            wait_until(lambda: self.step(client) and False, "an error")
