"""The core of a server, beside a program that takes the same one. Only Linux tells what others do on a core."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

from tests.support import PorterTestCase, ServerProcess, wait_until

BURN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); [0 for _ in iter(int, 1)]"


@unittest.skipUnless(sys.platform == "linux", "only Linux tells what others do on a core")
@unittest.skipUnless(len(os.sched_getaffinity(0)) > 1, "there is one core only")
class Placed(PorterTestCase):
    def cores_of_threads(self, server: ServerProcess) -> set[int]:
        """Return the cores of all threads but the main one."""
        pid = server.process.pid
        others = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]
        return set[int]().union(*(os.sched_getaffinity(task) for task in others))

    def test_the_threads_share_a_core_and_leave_it_to_another_program(self) -> None:
        server = self.start_process("echo", tls={"enabled": False})
        wait_until(lambda: len(self.cores_of_threads(server)) == 1, "threads that are all placed")
        (core,) = self.cores_of_threads(server)
        burning = subprocess.Popen([sys.executable, "-c", BURN, str(core)])
        self.addCleanup(burning.wait)
        self.addCleanup(burning.kill)
        wait_until(lambda: not self.cores_of_threads(server) & {core}, "a server that has moved")

    def test_hashing_uses_all_cores(self) -> None:
        server = self.start_process("auth", tls={"enabled": False})
        self.assertEqual(os.sched_getaffinity(0), self.cores_of_threads(server))

    def test_no_placement_leaves_the_threads_free(self) -> None:
        server = self.start_process("echo", tls={"enabled": False}, cpu_affinity="off")
        self.assertEqual(os.sched_getaffinity(0), self.cores_of_threads(server))
