"""The servers of a comparison: they start, stay on their cores, and end."""

import os
import socket
from pathlib import Path

from benchmarks.servers import PORTER, RunningServer
from tests.support import PorterTestCase


class Servers(PorterTestCase):
    def test_a_server_runs_on_its_core_and_is_gone_afterwards(self) -> None:
        core = min(os.sched_getaffinity(0))
        for name in (PORTER, "socketserver"):
            with RunningServer(name, [core]) as server:
                socket.create_connection(("127.0.0.1", server.port)).close()
                pid = server._process.pid
                self.assertEqual({core}, os.sched_getaffinity(pid))
                self.assertGreater(server.cpu_seconds(), 0)
            self.assertFalse(Path(f"/proc/{pid}").exists())
            self.assertEqual(0.0, server.cpu_seconds())
