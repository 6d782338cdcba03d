"""Cores: which there are, and keeping to one; in processes of their own, since it would change this one."""

import subprocess
import sys
import unittest
from unittest import mock

from common import PROJECT_ROOT
from server import affinity
from server.affinity import Cores

CODE = """
import os, threading
from server.affinity import Cores
before = os.sched_getaffinity(0)
cores = Cores()
cores.keep_to({number})
one = os.sched_getaffinity(0)
found = []
def look():
    found.append(os.sched_getaffinity(0))
    cores.use_all()
    found.append(os.sched_getaffinity(0))
thread = threading.Thread(target=look)
thread.start()
thread.join()
print(len(cores) == len(before), one == {{sorted(before)[{number} % len(before)]}}, found == [one, before],
      os.sched_getaffinity(0) == one)
"""


@unittest.skipUnless(sys.platform == "linux", "only Linux tells which cores a process may use")
class OfLinux(unittest.TestCase):
    def test_a_process_keeps_to_one_core_and_a_thread_of_it_may_leave(self) -> None:
        for number in (0, 1, 7):
            shown = subprocess.run(
                [sys.executable, "-c", CODE.format(number=number)],
                cwd=PROJECT_ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            self.assertEqual("True True True True\n", shown)


class Elsewhere(unittest.TestCase):
    def test_nothing_is_changed(self) -> None:
        with mock.patch.object(affinity, "os", mock.Mock(spec=["cpu_count"], cpu_count=lambda: 3)):
            cores = Cores()
            cores.keep_to(1)
            cores.use_all()
            self.assertEqual(3, len(cores))
