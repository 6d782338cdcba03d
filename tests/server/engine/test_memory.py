"""Memory is given back after many connections have ended, and not all the time."""

import time
import unittest
from unittest import mock

from server.engine import memory
from server.engine.memory import Memory


class Giving(unittest.TestCase):
    def setUp(self) -> None:
        self.given = self.enterContext(mock.patch.object(memory, "give_back")).mock_calls
        self.now = 0.0
        self.enterContext(mock.patch.object(time, "monotonic", lambda: self.now))
        self.memory = Memory()

    def report(self, served: int, connections: int, times: int = 1) -> None:
        for _ in range(times):
            self.memory.heed(served, connections)
            self.now += 1

    def test_memory_is_given_back_a_few_times_after_many_connections_end(self) -> None:
        self.report(100, 100)
        self.report(100, 51)
        self.assertEqual([], self.given)
        self.report(100, 50, times=10)
        self.assertEqual(4, len(self.given))

    def test_connections_that_end_between_two_calls_count_too(self) -> None:
        self.report(0, 0)
        self.report(200, 0)
        self.assertEqual(1, len(self.given))

    def test_a_few_connections_give_nothing_back(self) -> None:
        self.report(10, 0)
        self.report(49, 0)
        self.assertEqual([], self.given)

    def test_connections_that_stay_are_counted_when_they_end(self) -> None:
        self.report(200, 100, times=10)
        self.assertEqual(4, len(self.given))
        self.report(200, 40, times=10)
        self.assertEqual(8, len(self.given))

    def test_memory_is_given_back_at_most_once_a_second(self) -> None:
        for _ in range(10):
            self.memory.heed(100, 0)
        self.assertEqual(1, len(self.given))


class Library(unittest.TestCase):
    def test_without_descriptors_the_library_is_loaded_later(self) -> None:
        memory._trim.cache_clear()
        self.addCleanup(memory._trim.cache_clear)
        with mock.patch("ctypes.CDLL", side_effect=OSError(24, "too many open files")) as load:
            memory.give_back()
            memory.give_back()
        self.assertEqual(2, load.call_count)

    def test_give_back_works_with_and_without_malloc_trim(self) -> None:
        memory.give_back()
        with mock.patch("ctypes.CDLL", return_value=object()):
            memory._trim.cache_clear()
            memory.give_back()
        memory._trim.cache_clear()
