"""The machine: the limit on open files, and the cores.

The tests of cores run in processes of their own, because they would change this one.
"""

import resource
import unittest
from unittest import mock

from server import machine
from server.machine import cores, make_room_for
from tests.support import PorterTestCase


class Descriptors(PorterTestCase):
    def raised_to(self, connections: int, soft: int, hard: int) -> int | None:
        with (
            mock.patch("resource.getrlimit", return_value=(soft, hard)),
            mock.patch("resource.setrlimit") as setrlimit,
        ):
            make_room_for(connections)
        return setrlimit.call_args.args[1][0] if setrlimit.called else None

    def test_the_soft_limit_is_raised_to_fit_the_connections(self) -> None:
        with self.assertLogs("porter.server", "INFO"):
            self.assertEqual(1280, self.raised_to(1024, 64, 20_000))
            self.assertEqual(1280, self.raised_to(1024, 64, resource.RLIM_INFINITY))

    def test_a_limit_that_cannot_be_raised_far_enough_is_logged(self) -> None:
        with self.assertLogs("porter.server", "WARNING") as logged:
            self.assertEqual(500, self.raised_to(1024, 64, 500))
        self.assertIn("max_connections is 1024, but the limit on open files allows only 244", logged.output[-1])

    def test_a_sufficient_limit_is_left_alone(self) -> None:
        self.assertIsNone(self.raised_to(1024, 20_000, 20_000))
        self.assertIsNone(self.raised_to(1024, resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def test_a_server_raises_a_low_soft_limit_and_serves_more_connections(self) -> None:
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


class Elsewhere(unittest.TestCase):
    def test_other_systems_tell_only_how_many_cores_there_are(self) -> None:
        with mock.patch.object(machine, "os", mock.Mock(spec=["cpu_count"], cpu_count=lambda: 3)):
            self.assertEqual([0, 1, 2], cores())
