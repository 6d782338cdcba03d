"""The servers of a comparison: they start, stay on their cores, and end."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks.servers import PORTER, RunningServer
from tests.support import PATIENCE, PorterTestCase, environment, wait_until


class Servers(PorterTestCase):
    def test_a_comparison_that_is_terminated_leaves_no_server_behind(self) -> None:
        command = [sys.executable, "-P", "-m", "benchmarks", "--compare", "--work", "chat", "-c", "2"]
        with subprocess.Popen(command, env=environment(self.folder), stderr=subprocess.DEVNULL) as process:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            wait_until(lambda: len(children.read_text().split()) > 2, "two servers and the load")
            started = [Path("/proc", number) for number in children.read_text().split()]
            process.terminate()
            self.assertEqual(143, process.wait(PATIENCE))
        self.assertEqual([], [each for each in started if each.exists()])

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
