"""Deadlines: the remaining time, the error, and the earlier of two."""

import math
import time
import unittest

from common.errors import DeadlineExceeded, Stopping
from common.wire.deadline import Deadline, poll_milliseconds


class Deadlines(unittest.TestCase):
    def test_the_remaining_time_shrinks(self) -> None:
        deadline = Deadline(60, Stopping)
        first = deadline.remaining()
        second = deadline.remaining()
        assert first is not None and second is not None
        self.assertTrue(60 >= first >= second > 50)

    def test_a_deadline_without_seconds_never_passes(self) -> None:
        self.assertIsNone(Deadline(None, Stopping).remaining())

    def test_a_deadline_that_has_passed_raises_its_own_error(self) -> None:
        with self.assertRaisesRegex(DeadlineExceeded, "too late after 0 s"):
            Deadline(0, DeadlineExceeded, "too late after {seconds:g} s").remaining()

    def test_a_deadline_can_start_in_the_past(self) -> None:
        with self.assertRaises(Stopping):
            Deadline(5, Stopping, since=time.monotonic() - 6).remaining()

    def test_the_milliseconds_for_poll_are_rounded_up_and_limited(self) -> None:
        for seconds, wanted in ((None, None), (math.inf, None), (-1.0, 0), (0.0001, 1), (1e9, 2**31 - 1)):
            self.assertEqual(wanted, poll_milliseconds(seconds))
