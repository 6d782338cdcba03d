"""The choice of a core: another one is taken only if it is much freer of other programs."""

import os
import sys
import threading
import unittest
from unittest import mock

from server.process import placement
from server.process.placement import Placement, better
from tests.support import PorterTestCase


class Choice(unittest.TestCase):
    def test_a_core_that_nobody_else_uses_is_kept(self) -> None:
        self.assertEqual(1, better(1, {0: 0.0, 1: 0.0}))
        self.assertEqual(1, better(1, {0: 0.9, 1: 0.1}))

    def test_a_core_that_another_program_takes_is_left_for_the_freest(self) -> None:
        self.assertEqual(2, better(1, {0: 0.3, 1: 0.5, 2: 0.0}))

    def test_a_small_difference_is_not_worth_a_move(self) -> None:
        self.assertEqual(1, better(1, {0: 0.0, 1: 0.2}))
        self.assertEqual(1, better(1, {0: 1.0, 1: 1.0}))


@unittest.skipUnless(sys.platform == "linux", "only Linux tells which cores a thread may use")
class Blind(PorterTestCase):
    def test_without_a_sight_of_all_cores_no_thread_is_placed(self) -> None:
        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)
        free = os.sched_getaffinity(thread.native_id or 0)
        idle = "".join(f"cpu{core} 0 0 0 500 0 0 0 0 0 0\n" for core in free)
        others = "cpu90000 5 0 5 500 0 0 0 0 0 0\n"
        for text in (None, "", idle, others, "cpu0 rubbish"):
            stat = self.folder / "stat"
            if text is not None:
                stat.write_text(text)
            with mock.patch.object(placement, "_STAT", stat), Placement(0):
                self.assertEqual(free, os.sched_getaffinity(thread.native_id or 0))
