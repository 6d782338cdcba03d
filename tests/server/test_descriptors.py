"""The limit on open files fits the connections."""

import resource
from unittest import mock

from server.descriptors import make_room_for
from tests.support import PorterTestCase


class Descriptors(PorterTestCase):
    def raised_to(self, connections: int, soft: int, hard: int) -> int | None:
        with (
            mock.patch("resource.getrlimit", return_value=(soft, hard)),
            mock.patch("resource.setrlimit") as setrlimit,
        ):
            make_room_for(connections)
        return setrlimit.call_args.args[1][0] if setrlimit.called else None

    def test_the_soft_limit_is_raised_to_fit(self) -> None:
        with self.assertLogs("porter.server", "INFO"):
            self.assertEqual(1280, self.raised_to(1024, 64, 20_000))
            self.assertEqual(1280, self.raised_to(1024, 64, resource.RLIM_INFINITY))

    def test_what_does_not_fit_is_logged(self) -> None:
        with self.assertLogs("porter.server", "WARNING") as logged:
            self.assertEqual(500, self.raised_to(1024, 64, 500))
        self.assertIn("max_connections is 1024, but open files for only 244", logged.output[-1])

    def test_what_fits_is_left_alone(self) -> None:
        self.assertIsNone(self.raised_to(1024, 20_000, 20_000))
        self.assertIsNone(self.raised_to(1024, resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def test_a_server_with_a_low_soft_limit_serves_more_than_it(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
        try:
            server = self.start_process("echo", limits={"max_connections": 80})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        clients = [server.connect() for _ in range(80)]
        for client in clients:
            client.send_message("x")
            self.assertEqual("x", client.receive_message())
        self.assertIn("limit on open files raised from 40 to 336", server.log())
