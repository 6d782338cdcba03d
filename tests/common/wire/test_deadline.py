"""Deadlines: what is left, whose error, which comes first."""

import math
import time
import unittest

from common.errors import DeadlineExceeded, Stopping
from common.wire.deadline import Deadline, poll_milliseconds


class Deadlines(unittest.TestCase):
    def test_what_is_left_grows_less(self) -> None:
        deadline = Deadline(60, Stopping)
        first = deadline.remaining()
        second = deadline.remaining()
        assert first is not None and second is not None
        self.assertTrue(60 >= first >= second > 50)

    def test_without_seconds_it_never_comes(self) -> None:
        self.assertIsNone(Deadline(None, Stopping).remaining())

    def test_once_over_it_raises_its_own_error(self) -> None:
        with self.assertRaisesRegex(DeadlineExceeded, "too late after 0 s"):
            Deadline(0, DeadlineExceeded, "too late after {:g} s").remaining()

    def test_it_can_have_started_before(self) -> None:
        with self.assertRaises(Stopping):
            Deadline(5, Stopping, since=time.monotonic() - 6).remaining()

    def test_poll_never_wakes_early_and_is_asked_no_more_than_it_can(self) -> None:
        for seconds, wanted in ((None, None), (math.inf, None), (-1.0, 0), (0.0001, 1), (1e9, 2**31 - 1)):
            self.assertEqual(wanted, poll_milliseconds(seconds))

    def test_the_earlier_of_two_counts(self) -> None:
        early, late = Deadline(1, Stopping), Deadline(2, Stopping)
        self.assertIs(early, late.or_earlier(early))
        self.assertIs(early, early.or_earlier(late))
        self.assertIs(early, early.or_earlier(None))
        self.assertIs(early, Deadline(None, Stopping).or_earlier(early))
